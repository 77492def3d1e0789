/** Less than this is as good as nothing: a blob of a gigabyte would take twelve days. */
const MIN_BYTES_PER_MS = 1;
/** Looked at over so long at least: one connection is slow, or breaks, now and then. */
const WINDOW_MS = 60_000;

/** Whether a download that breaks off over and over comes on at all. */
export class DownloadPace {
  #bytes = 0;
  #ms = 0;

  /** An attempt broke off after so many bytes, which the server took so long for: whether it was worth it. */
  broke(bytes: number, ms: number): boolean {
    this.#bytes += bytes;
    this.#ms += ms;
    if (this.#ms < WINDOW_MS) return bytes > 0;
    if (this.#bytes < this.#ms * MIN_BYTES_PER_MS) return false;
    this.#bytes = 0;
    this.#ms = 0;
    return bytes > 0;
  }
}
