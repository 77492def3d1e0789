import type { SpanTask } from "./span-task.ts";

export interface SpanClaimsOptions {
  /** Somebody else has filled the task's span. */
  readonly onPresent: (task: SpanTask) => void;
  /** Whoever filled the task's span has given it up: it is claimed for the task. */
  readonly onFree: (task: SpanTask) => void;
  /** It cannot be told who fills the task's span. */
  readonly onLost: (task: SpanTask, error: unknown) => void;
}

/** How often another process is looked after that fills a span that we want. */
const LOOK_MS = 10;

/** Which process fills a span: the one that has claimed it. */
export class SpanClaims implements Disposable {
  readonly #options: SpanClaimsOptions;
  /** Filled by other processes. */
  readonly #elsewhere = new Set<SpanTask>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SpanClaimsOptions) {
    this.#options = options;
  }

  /** Those of a run that can be requested together with `seed`, claimed; none when it is not ours to fill. */
  claimRun(run: readonly SpanTask[], seed: SpanTask): SpanTask[] {
    if (!this.#claim(seed)) return [];
    if (seed.layer.hasNoRanges) {
      return run.filter((task) => task === seed || this.#claim(task));
    }
    const index = run.indexOf(seed);
    const claimed = [seed];
    for (let i = index - 1; i >= 0; i--) {
      const before = run[i];
      if (before === undefined || !this.#claim(before)) break;
      claimed.unshift(before);
    }
    for (let i = index + 1; i < run.length; i++) {
      const behind = run[i];
      if (behind === undefined || !this.#claim(behind)) break;
      claimed.push(behind);
    }
    return claimed;
  }

  /** Nobody waits for another process any more. */
  forget(task: SpanTask): void {
    this.#elsewhere.delete(task);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#elsewhere.clear();
  }

  #claim(task: SpanTask): boolean {
    if (task.claim !== undefined) return true;
    const claim = task.layer.cached.claim(task.span);
    if (claim === "present") {
      this.#options.onPresent(task);
      return false;
    }
    if (claim === "busy") {
      task.state = "elsewhere";
      this.#elsewhere.add(task);
      this.#timer ??= setTimeout(() => this.#look(), LOOK_MS);
      return false;
    }
    task.claim = claim;
    return true;
  }

  #look(): void {
    this.#timer = undefined;
    for (const task of [...this.#elsewhere]) {
      let claim: ReturnType<typeof task.layer.cached.claim>;
      try {
        claim = task.layer.cached.claim(task.span);
      } catch (error) {
        // Of the lock itself: nobody is above us here to be told.
        this.#elsewhere.delete(task);
        this.#options.onLost(task, error);
        continue;
      }
      if (claim === "busy") continue;
      this.#elsewhere.delete(task);
      if (claim === "present") {
        this.#options.onPresent(task);
      } else {
        task.claim = claim;
        this.#options.onFree(task);
      }
    }
    if (this.#elsewhere.size > 0) this.#timer = setTimeout(() => this.#look(), LOOK_MS);
  }
}
