import type { ImageSource } from "../oci/image-source.ts";
import { FetchBudget } from "./fetch-budget.ts";

/** While a source fails, so many requests at once find out whether it is back. */
const PROBES = 2;
/** Failures in a row that are worth a word: one connection breaks now and then. */
const FAILURES_TO_TELL = 3;

/** What is known of one source: its line, and whether it answers. */
export class SourceHealth {
  readonly source: ImageSource;
  readonly budget = new FetchBudget();
  /** Requests under way. */
  running = 0;
  #failures = 0;
  #blockedUntil = 0;

  constructor(source: ImageSource) {
    this.source = source;
  }

  /** When the next request may be made; infinity: when one of those under way has ended. */
  get readyAt(): number {
    const isFull = this.#failures > 0 && this.running >= PROBES;
    return isFull ? Number.POSITIVE_INFINITY : this.#blockedUntil;
  }

  /** It did not answer. Returns whether that should be told. */
  failed(now: number, retryAfterMs: number | undefined): boolean {
    this.#failures += 1;
    // Not all at the same moment, and never early.
    const waitMs = (retryAfterMs ?? 0) * (1 + Math.random() / 8);
    this.#blockedUntil = Math.max(this.#blockedUntil, now + waitMs);
    return this.#failures === FAILURES_TO_TELL;
  }

  /** It answered: how many failures in a row that ends. */
  answered(): number {
    const failures = this.#failures;
    this.#failures = 0;
    return failures;
  }

  /** Whether so many failures had been told. */
  static wereTold(failures: number): boolean {
    return failures >= FAILURES_TO_TELL;
  }
}
