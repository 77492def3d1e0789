import type { WaitOptions } from "../async/wait-options.ts";
import { downloadBlob } from "./blob-download.ts";
import type { BlobRequests } from "./blob-requests.ts";
import type { Descriptor } from "./descriptor.ts";
import type { BlobOpened } from "./image-source.ts";

/** When a whole blob is fetched by several ranges at once, and how. */
export interface ParallelPolicy {
  /** Smaller blobs come by one request. */
  readonly minBytes: number;
  /** Below this, from a request to its answer, one connection is as fast. */
  readonly minLatencyMs: number;
  /** Of one request. */
  readonly rangeBytes: number;
  /** Requested and still to come: must exceed what the line holds (rate times latency). */
  readonly ahead: number;
  /** Requested and not yet taken by the reader: bounds the memory. */
  readonly window: number;
}

const MiB = 1024 * 1024;

// 10 MiB ahead keep 1 Gbit/s busy over 50 ms and more, on up to five connections.
export const DEFAULT_PARALLEL: ParallelPolicy = {
  minBytes: 16 * MiB,
  minLatencyMs: 20,
  rangeBytes: 2 * MiB,
  ahead: 10 * MiB,
  window: 12 * MiB,
};

export interface DownloadWholeOptions extends WaitOptions {
  readonly policy: ParallelPolicy;
}

/**
 * All bytes of a blob in order, not verified. A large one from far away comes by several ranges at
 * once: one connection does not fill a long line.
 */
export async function* downloadWhole(
  requests: BlobRequests,
  blob: Descriptor,
  { policy, signal }: DownloadWholeOptions,
): AsyncGenerator<Uint8Array> {
  if (blob.size < policy.minBytes || blob.size <= policy.rangeBytes) {
    yield* downloadBlob(requests, blob, { start: 0, end: blob.size, signal });
    return;
  }
  let at = 0;
  let rest: RangesAhead | undefined;
  const first = downloadBlob(requests, blob, {
    start: 0,
    end: policy.rangeBytes,
    signal,
    takeAll: true,
    onOpen: ({ isPartial, ms }) => {
      if (isPartial && ms >= policy.minLatencyMs) {
        rest ??= new RangesAhead(requests, blob, { start: policy.rangeBytes, policy, signal });
      }
    },
  });
  try {
    for await (const chunk of first) {
      at += chunk.length;
      yield chunk;
    }
    yield* rest?.chunks() ?? downloadBlob(requests, blob, { start: at, end: blob.size, signal });
  } finally {
    await rest?.[Symbol.asyncDispose]();
  }
}

/** A range on its way: what has come of it and not been taken. */
interface Part {
  readonly chunks: Uint8Array[];
  outcome: "running" | "done" | { readonly error: unknown };
  /** Wakes the reader. */
  changed: PromiseWithResolvers<void>;
}

interface RangesAheadOptions extends DownloadWholeOptions {
  readonly start: number;
}

/** The ranges of a blob from `start` on, several under way at once, given out in order. */
class RangesAhead implements AsyncDisposable {
  readonly #requests: BlobRequests;
  readonly #blob: Descriptor;
  readonly #policy: ParallelPolicy;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #parts: Part[] = [];
  readonly #running = new Set<Promise<void>>();
  #requestedEnd: number;
  #taken: number;
  #outstanding = 0;
  #isFar = false;

  constructor(
    requests: BlobRequests,
    blob: Descriptor,
    { start, policy, signal }: RangesAheadOptions,
  ) {
    this.#requests = requests;
    this.#blob = blob;
    this.#policy = policy;
    this.#signal =
      signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    this.#requestedEnd = start;
    this.#taken = start;
    this.#startOne();
  }

  /** All of it, unless one connection does as well: then the first range, and the rest by one request. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (let part = this.#parts.shift(); part !== undefined; part = this.#parts.shift()) {
      for (;;) {
        const chunk = part.chunks.shift();
        if (chunk !== undefined) {
          this.#taken += chunk.length;
          this.#startMore();
          yield chunk;
        } else if (part.outcome === "running") {
          await part.changed.promise;
        } else if (part.outcome === "done") {
          break;
        } else {
          throw part.outcome.error;
        }
      }
    }
    const [start, end] = [this.#requestedEnd, this.#blob.size];
    if (start < end) {
      const signal = this.#signal;
      yield* downloadBlob(this.#requests, this.#blob, { start, end, signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  /**
   * By bytes, not by connections: requests that all ended together would all begin together, and
   * the line would lie idle for a round trip each time.
   */
  #startMore(): void {
    const { ahead, window, rangeBytes } = this.#policy;
    while (
      this.#isFar &&
      this.#requestedEnd < this.#blob.size &&
      this.#outstanding + rangeBytes <= ahead &&
      this.#requestedEnd - this.#taken + rangeBytes <= window
    ) {
      this.#startOne();
    }
  }

  #startOne(): void {
    const start = this.#requestedEnd;
    const end = Math.min(start + this.#policy.rangeBytes, this.#blob.size);
    const part: Part = { chunks: [], outcome: "running", changed: Promise.withResolvers() };
    this.#parts.push(part);
    this.#requestedEnd = end;
    this.#outstanding += end - start;
    const run = this.#fetch(part, start, end).finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  /** Never rejects: the reader of the part is told. */
  async #fetch(part: Part, start: number, end: number): Promise<void> {
    const onOpen = ({ ms }: BlobOpened): void => {
      // The first request of a process is late on any line: the second tells.
      this.#isFar ||= ms >= this.#policy.minLatencyMs;
      this.#startMore();
    };
    const options = { start, end, signal: this.#signal, onOpen };
    try {
      for await (const chunk of downloadBlob(this.#requests, this.#blob, options)) {
        part.chunks.push(chunk);
        this.#outstanding -= chunk.length;
        this.#wake(part);
        this.#startMore();
      }
      part.outcome = "done";
    } catch (error) {
      part.outcome = { error };
    }
    this.#wake(part);
  }

  #wake(part: Part): void {
    part.changed.resolve();
    part.changed = Promise.withResolvers();
  }
}
