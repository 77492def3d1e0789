import type { SpanScheduler } from "../fetch/span-scheduler.ts";
import type { Logger } from "../observability/log.ts";
import { delay } from "../async/delay.ts";

export interface BackgroundFillingOptions {
  readonly scheduler: SpanScheduler;
  readonly log: Logger;
  /** How long after a failure a layer is tried again. */
  readonly retryMs?: number;
}

interface Filled {
  readonly stop: AbortController;
}

/**
 * Brings the rest of layers behind whatever is read. A layer whose source fails is tried again later; one
 * that finds no room is left alone.
 */
export class BackgroundFilling implements Disposable {
  readonly #options: BackgroundFillingOptions;
  readonly #layers = new Map<number, Filled>();
  #isDisposed = false;

  constructor(options: BackgroundFillingOptions) {
    this.#options = options;
  }

  /** Layers that are not whole yet, as far as they are filled. */
  get count(): number {
    return this.#layers.size;
  }

  /** Starts on a layer, by its number. Twice is fine; nothing happens when this is disposed of. */
  start(layer: number): void {
    if (this.#isDisposed || this.#layers.has(layer)) return;
    const filled = { stop: new AbortController() };
    this.#layers.set(layer, filled);
    void this.#fill(layer, filled);
  }

  /** Before the layer is taken from the scheduler. */
  stop(layer: number): void {
    this.#layers.get(layer)?.stop.abort();
    this.#layers.delete(layer);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    for (const layer of [...this.#layers.keys()]) this.stop(layer);
  }

  async #fill(layer: number, filled: Filled): Promise<void> {
    const { scheduler, log, retryMs = 60_000 } = this.#options;
    const { signal } = filled.stop;
    try {
      while (!signal.aborted) {
        try {
          const end = await scheduler.fill(layer).done;
          if (end === "no-room") log.warn("cache is full: the rest of a layer is left out");
          break;
        } catch (error) {
          if (signal.aborted) break;
          log.warn("part of a layer could not be fetched; it is tried again", { error });
          await delay(retryMs, { signal }).catch(() => undefined);
        }
      }
    } finally {
      if (this.#layers.get(layer) === filled) this.#layers.delete(layer);
    }
  }
}
