/** The part of tar-stream that tests and the demo use; the package brings no types. */
declare module "tar-stream" {
  export interface Headers {
    readonly name: string;
    readonly type?:
      | "file"
      | "link"
      | "symlink"
      | "directory"
      | "fifo"
      | "character-device"
      | "block-device"
      | "contiguous-file";
    readonly size?: number;
    readonly mode?: number;
    readonly uid?: number;
    readonly gid?: number;
    readonly uname?: string;
    readonly gname?: string;
    readonly mtime?: Date;
    readonly linkname?: string;
    readonly devmajor?: number;
    readonly devminor?: number;
    readonly pax?: Readonly<Record<string, string>>;
  }

  export interface Pack extends AsyncIterable<Uint8Array> {
    /** `done` is called when there is room for the next entry. */
    entry(
      headers: Headers,
      content: string | Uint8Array,
      done?: (error: Error | null) => void,
    ): { once(event: "error", listener: (error: Error) => void): unknown };
    finalize(): void;
    destroy(error: Error): void;
  }

  /** An entry read: a header, and the content as a stream that must be read to its end. */
  export interface Entry extends AsyncIterable<Uint8Array> {
    readonly header: Headers;
  }

  /** A stream that takes a tar and gives its entries. */
  export interface Extract extends NodeJS.WritableStream, AsyncIterable<Entry> {}

  export function pack(): Pack;
  export function extract(): Extract;
}
