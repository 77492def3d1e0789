import { abortable } from "../async/abortable.ts";
import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { BackgroundFill } from "../fetch/background-fill.ts";
import type { SpanScheduler } from "../fetch/span-scheduler.ts";
import type { Logger } from "../observability/log.ts";
import { SociError } from "../errors.ts";

export interface ImageFillOptions {
  readonly scheduler: SpanScheduler;
  /** Numbers of the image's layers. */
  readonly layers: readonly number[];
  readonly log: Logger;
}

export interface FillWaitOptions extends WaitOptions {
  /** Told now and then: compressed bytes that are local, and all there are. */
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
}

const PROGRESS_MS = 100;

/** All layers of one image made local, behind whatever is being read. */
export class ImageFill {
  readonly #options: ImageFillOptions;
  #fills: readonly BackgroundFill[] | undefined;

  constructor(options: ImageFillOptions) {
    this.#options = options;
  }

  /** Starts it. What becomes of it is logged. Twice is fine. */
  start(): void {
    if (this.#fills !== undefined) return;
    const { scheduler, layers, log } = this.#options;
    this.#fills = layers.map((layer) => scheduler.fill(layer));
    for (const { done } of this.#fills) {
      done.then(
        (end) => {
          if (end === "no-room") log.warn("cache is full: the rest of the image is left out");
        },
        (error) => log.warn("part of the image could not be fetched", { error }),
      );
    }
  }

  /** Starts it and waits until all is local. @throws failed-precondition when there is no room for it, and what the source throws */
  async wait({ onProgress, signal }: FillWaitOptions = {}): Promise<void> {
    this.start();
    const fills = this.#fills ?? [];
    const all = Promise.all(fills.map(({ done }) => done));
    const over = new AbortController();
    const telling = tell(fills, onProgress, over.signal);
    try {
      const ends = await abortable(all, signal);
      if (ends.includes("no-room")) {
        throw new SociError(
          "failed-precondition",
          "Cannot fetch all of the image: the cache has no room for it",
          { hint: "--cache-size allows more; what is not local is fetched when it is read" },
        );
      }
    } finally {
      over.abort();
      await telling;
    }
  }
}

async function tell(
  fills: readonly BackgroundFill[],
  onProgress: FillWaitOptions["onProgress"],
  signal: AbortSignal,
): Promise<void> {
  while (onProgress !== undefined && !signal.aborted) {
    const progress = fills.map((fill) => fill.progress);
    onProgress(
      progress.reduce((sum, { bytes }) => sum + bytes, 0),
      progress.reduce((sum, { totalBytes }) => sum + totalBytes, 0),
    );
    await delay(PROGRESS_MS, { signal }).catch(() => undefined);
  }
}
