import type { Descriptor } from "./descriptor.ts";
import { verifyStream } from "./verified-stream.ts";

/** Gives a blob's bytes from the start, as often as it is called. */
export type BlobOpener = () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * A blob's bytes for an upload in pieces, verified as they pass: the last ones come only when size
 * and digest are right. To go back it is opened again.
 */
export class UploadSource implements AsyncDisposable {
  readonly #blob: Descriptor;
  readonly #open: BlobOpener;
  #chunks: AsyncGenerator<Uint8Array> | undefined;
  /** What has been read of the blob and not been given. */
  #left: Uint8Array = new Uint8Array(0);
  /** Where `#left` begins. */
  #at = 0;
  #slices = 0;

  constructor(blob: Descriptor, open: BlobOpener) {
    this.#blob = blob;
    this.#open = open;
  }

  /** Bytes [start, end), once; the slice before is of no use any more. @throws data-loss when the opener gives another blob */
  async *slice(start: number, end: number): AsyncGenerator<Uint8Array> {
    this.#slices += 1;
    const slice = this.#slices;
    if (start < this.#at) {
      await this.#close();
    }
    this.#chunks ??= verifyStream(this.#open(), this.#blob, `blob ${this.#blob.digest}`);
    for (let at = start; at < end;) {
      // A request that broke off may still be pulling: it must not take the next one's bytes.
      if (slice !== this.#slices) {
        return;
      }
      if (this.#left.length === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) {
          return;
        }
        this.#left = next.value;
      }
      const skipped = Math.min(at - this.#at, this.#left.length);
      const taken = this.#left.subarray(skipped, skipped + end - at);
      this.#at += skipped + taken.length;
      this.#left = this.#left.subarray(skipped + taken.length);
      at += taken.length;
      if (taken.length > 0) {
        yield taken;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#slices += 1;
    await this.#close();
  }

  async #close(): Promise<void> {
    const chunks = this.#chunks;
    this.#chunks = undefined;
    this.#left = new Uint8Array(0);
    this.#at = 0;
    await chunks?.return(undefined);
  }
}
