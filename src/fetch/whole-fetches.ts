import { SingleFlight } from "../async/single-flight.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";
import type { AheadRange } from "./sequential-streams.ts";

export interface WholeFetchOptions extends WaitOptions, AheadRange {
  /** How long this caller waits; infinity: as long as it takes. */
  readonly deadlineMs: number;
}

interface Fetching {
  readonly stop: AbortController;
  /** Under way; one that was given up may still be ending beside the next. */
  readonly work: Set<Promise<void>>;
  /** It goes on although somebody has waited for too long. */
  kept: Promise<void> | undefined;
}

/** Layers that come as a whole: each once, for all who want any of it. */
export class WholeFetches {
  readonly #flights = new SingleFlight<ScheduledLayer, void>();
  readonly #fetching = new Map<ScheduledLayer, Fetching>();
  readonly #onLate: (layer: ScheduledLayer) => void;

  /** `onLate`: told of each caller who has waited for too long. */
  constructor(onLate: (layer: ScheduledLayer) => void) {
    this.#onLate = onLate;
  }

  /**
   * Until the layer has come, unless the range is here. It is given up when nobody wants it any more, but goes on when the time
   * of those is up: they will come again. @throws unavailable after the deadline, what fetching it
   * throws, and the signal's reason
   */
  async want(layer: ScheduledLayer, options: WholeFetchOptions): Promise<void> {
    if (isHere(layer, options)) return;
    const { deadlineMs, signal } = options;
    const fetching = this.#of(layer);
    const late = new AbortController();
    const signals = [late.signal, fetching.stop.signal];
    if (signal !== undefined) signals.push(signal);
    const timer = Number.isFinite(deadlineMs)
      ? setTimeout(() => {
          this.#keep(layer, fetching);
          this.#onLate(layer);
          late.abort(tooLate(layer, deadlineMs));
        }, deadlineMs)
      : undefined;
    try {
      await this.#join(layer, fetching, AbortSignal.any(signals));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends what is under way of a layer, for all who wait for it; resolves when it has ended. */
  async end(layer: ScheduledLayer, reason: unknown): Promise<void> {
    const fetching = this.#fetching.get(layer);
    if (fetching === undefined) return;
    this.#fetching.delete(layer);
    fetching.stop.abort(reason);
    await Promise.allSettled([...fetching.work, fetching.kept]);
  }

  #of(layer: ScheduledLayer): Fetching {
    const known = this.#fetching.get(layer);
    if (known !== undefined) return known;
    const fetching = {
      stop: new AbortController(),
      work: new Set<Promise<void>>(),
      kept: undefined,
    };
    this.#fetching.set(layer, fetching);
    return fetching;
  }

  async #join(layer: ScheduledLayer, { work }: Fetching, signal: AbortSignal): Promise<void> {
    const fetch = async (inner: AbortSignal): Promise<void> => {
      if (layer.refetchWhole === undefined) throw notInParts(layer);
      const fetching = layer.refetchWhole(inner);
      work.add(fetching);
      try {
        await fetching;
      } finally {
        work.delete(fetching);
      }
    };
    await this.#flights.run(layer, fetch, { signal });
  }

  #keep(layer: ScheduledLayer, fetching: Fetching): void {
    fetching.kept ??= this.#join(layer, fetching, fetching.stop.signal)
      // Whoever wants it next gets it, or fetches it anew and is told.
      .catch(() => undefined)
      .finally(() => {
        fetching.kept = undefined;
      });
  }
}

function notInParts({ descriptor }: ScheduledLayer): SociError {
  return new SociError(
    "unavailable",
    `Cannot read layer ${descriptor.digest}: it is not in the cache, and cannot be had in parts`,
  );
}

function tooLate({ descriptor, health }: ScheduledLayer, deadlineMs: number): SociError {
  return new SociError(
    "unavailable",
    `Cannot read layer ${descriptor.digest} of "${health.source.name}" within ${deadlineMs} ms: it comes as a whole only`,
  );
}

function isHere({ geometry, cached }: ScheduledLayer, { start, end }: AheadRange): boolean {
  for (let span = geometry.spanOf(start); span <= geometry.spanOf(end - 1); span++) {
    if (!cached.isPresent(span)) return false;
  }
  return true;
}
