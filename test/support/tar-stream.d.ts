/** The part of tar-stream that tests use; the package brings no types. */
declare module "tar-stream" {
  export interface Headers {
    readonly name: string;
    readonly type?:
      "file" | "link" | "symlink" | "directory" | "fifo" | "character-device" | "block-device";
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
    entry(headers: Headers, content: string | Uint8Array): unknown;
    finalize(): void;
  }

  export function pack(): Pack;
}
