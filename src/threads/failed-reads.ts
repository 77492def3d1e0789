import type { ReadMiss } from "./fuse-messages.ts";

/** The kernel asks again at once; whoever asks later may be somebody else, and the registry be back. */
const REMEMBERED_MS = 20;
const MAX_REMEMBERED = 4096;

interface FailedRead extends Pick<ReadMiss, "layer" | "entry" | "offset" | "size"> {
  readonly until: number;
}

/**
 * Reads that have failed a moment ago. When a readahead fails, the kernel asks for the page that
 * somebody waits for once more; who has waited for as long as a read may does not wait so long again.
 */
export class FailedReads {
  readonly #now: () => number;
  #reads: FailedRead[] = [];

  constructor({ now = () => performance.now() }: { readonly now?: () => number } = {}) {
    this.#now = now;
  }

  add({ layer, entry, offset, size }: ReadMiss): void {
    this.#forget();
    if (this.#reads.length >= MAX_REMEMBERED) this.#reads.shift();
    this.#reads.push({ layer, entry, offset, size, until: this.#now() + REMEMBERED_MS });
  }

  /** Whether the read is of bytes of which one has just failed. */
  has({ layer, entry, offset, size }: ReadMiss): boolean {
    if (this.#reads.length === 0) return false;
    this.#forget();
    return this.#reads.some(
      (read) =>
        read.layer === layer &&
        read.entry === entry &&
        read.offset < offset + size &&
        offset < read.offset + read.size,
    );
  }

  #forget(): void {
    const now = this.#now();
    if ((this.#reads[0]?.until ?? now) >= now) return;
    this.#reads = this.#reads.filter(({ until }) => until >= now);
  }
}
