import type { ScheduledLayer } from "./scheduled-layer.ts";
import { lastUseTick } from "../cache/live-map.ts";

interface WatchedSpan {
  readonly stamp: number;
  readonly until: number;
}

const LOOK_MS = 20;
/** A reader that has not come by then does not come. */
const PATIENCE_MS = 10_000;

/**
 * Sees when readers come to spans that were read ahead for them. Other threads and processes read
 * those out of the cache without a word; but the time of the last use that they leave there tells.
 */
export class AheadWatch implements Disposable {
  readonly #onTouch: (layer: ScheduledLayer, span: number) => void;
  readonly #spans = new Map<ScheduledLayer, Map<number, WatchedSpan>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(onTouch: (layer: ScheduledLayer, span: number) => void) {
    this.#onTouch = onTouch;
  }

  /** A span has become present that nobody has read yet. */
  add(layer: ScheduledLayer, span: number): void {
    const { lastUse } = layer.cached.files.live;
    // Another tick than any reader writes now.
    const stamp = (lastUseTick() - 1) >>> 0;
    lastUse[span] = stamp;
    const spans = this.#spans.get(layer) ?? new Map<number, WatchedSpan>();
    this.#spans.set(layer, spans);
    spans.set(span, { stamp, until: performance.now() + PATIENCE_MS });
    this.#timer ??= setTimeout(() => this.#look(), LOOK_MS);
  }

  remove(layer: ScheduledLayer): void {
    this.#spans.delete(layer);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#spans.clear();
  }

  #look(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [layer, spans] of this.#spans) {
      const { lastUse } = layer.cached.files.live;
      for (const [span, { stamp, until }] of spans) {
        const isTouched = lastUse[span] !== stamp;
        if (!isTouched && now < until) continue;
        spans.delete(span);
        if (isTouched) this.#onTouch(layer, span);
      }
      if (spans.size === 0) this.#spans.delete(layer);
    }
    if (this.#spans.size > 0) this.#timer = setTimeout(() => this.#look(), LOOK_MS);
  }
}
