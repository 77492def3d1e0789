import type { ImageSource } from "../oci/image-source.ts";
import { FetchBudget } from "./fetch-budget.ts";

/** While a source fails, so many requests at once find out whether it is back. */
const PROBES = 2;

/** What is known of one source: its line, and whether it answers. */
export class SourceHealth {
  readonly source: ImageSource;
  readonly budget = new FetchBudget();
  /** Requests under way. */
  running = 0;
  #isDown = false;
  #blockedUntil = 0;

  constructor(source: ImageSource) {
    this.source = source;
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  /** When the next request may be made; `undefined`: when one of those under way has ended. */
  readyAt(): number | undefined {
    return this.#isDown && this.running >= PROBES ? undefined : this.#blockedUntil;
  }

  /** It did not answer. Returns whether that is news. */
  failed(now: number, retryAfterMs: number | undefined): boolean {
    const isNews = !this.#isDown;
    this.#isDown = true;
    // Not all at the same moment, and never early.
    const waitMs = (retryAfterMs ?? 0) * (1 + Math.random() / 8);
    this.#blockedUntil = Math.max(this.#blockedUntil, now + waitMs);
    return isNews;
  }

  /** It answered. Returns whether it had not before. */
  answered(): boolean {
    const wasDown = this.#isDown;
    this.#isDown = false;
    return wasDown;
  }
}
