import { memoryOf, privateBytesOf } from "./process-figures.ts";

const INTERVAL_MS = 50;

/** Looks at a process's memory again and again until it is disposed of: the kernel keeps a peak of all of it only. */
export class MemoryWatch implements Disposable {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peak = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#look(), INTERVAL_MS);
    this.#look();
  }

  /** The most private memory so far, in bytes. */
  get peakBytes(): number {
    return this.#peak;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, privateBytesOf(memoryOf(this.#pid)));
  }
}
