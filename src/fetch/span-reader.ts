import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { isKind, SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { extractSpan } from "../ztoc/span-extractor.ts";
import type { SpanId } from "../ztoc/zinfo.ts";
import type { Ztoc } from "../ztoc/ztoc.ts";
import type { LayerRange, PlannedFetch } from "./span-plan.ts";
import { planFetches, spansOf } from "./span-plan.ts";

/** How far fetching runs ahead of the reader: requests, and bytes. */
const FETCHES_AHEAD = 16;
const BYTES_AHEAD = 32 << 20;
/** More than this cannot be held at once. */
const MAX_SPAN_BYTES = 2 ** 32;
/** How often a span whose bytes are wrong is asked for again. */
const REFETCHES = 2;

/** A layer that can be read by spans. */
export interface SpanLayer {
  readonly descriptor: Descriptor;
  readonly ztoc: Ztoc;
}

export interface SpanReaderOptions {
  readonly source: ImageSource;
  /** By number of the layer in the image; undefined where a layer has no zTOC. */
  readonly layers: readonly (SpanLayer | undefined)[];
  readonly engine: InflateEngine;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads ranges of an image's layers in the given order, fetching only the spans they need: each
 * once, neighbours together, several requests under way, every span verified before use.
 */
export class SpanReader implements AsyncDisposable {
  readonly #source: ImageSource;
  readonly #layers: readonly (SpanLayer | undefined)[];
  readonly #engine: InflateEngine;
  readonly #log: Logger;
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  readonly #ranges: readonly LayerRange[];
  readonly #fetches: readonly PlannedFetch[];
  /** Compressed bytes by layer and span, from request until last use. */
  readonly #spans = new Map<string, Promise<Uint8Array>>();
  readonly #usesLeft = new Map<string, number>();
  readonly #running: Promise<void>[] = [];
  #started = 0;

  constructor(
    ranges: readonly LayerRange[],
    { source, layers, engine, log, signal }: SpanReaderOptions,
  ) {
    this.#source = source;
    this.#layers = layers;
    this.#engine = engine;
    this.#log = log;
    this.#signal =
      signal === undefined ? this.#abort.signal : AbortSignal.any([signal, this.#abort.signal]);
    this.#ranges = ranges;
    this.#fetches = planFetches(ranges, (layer) => this.#layer(layer).ztoc);
    for (const range of ranges) {
      for (const span of this.#spansOf(range)) {
        const key = keyOf(range.layer, span);
        this.#usesLeft.set(key, (this.#usesLeft.get(key) ?? 0) + 1);
      }
    }
    this.#startFetches(0);
  }

  /**
   * The bytes of range `i`, in order, all of them. Ranges are read one after another. Views die with
   * the next step. @throws data-loss, and what the source throws
   */
  async *read(i: number): AsyncGenerator<Uint8Array, void> {
    const range = this.#ranges[i];
    if (range === undefined)
      throw new RangeError(`Cannot read range ${i} of ${this.#ranges.length}`);
    let made = 0;
    for (const span of this.#spansOf(range)) {
      const { ztoc } = this.#layer(range.layer);
      const key = keyOf(range.layer, span);
      let position = ztoc.zinfo.rangeOf(span, ztoc).uncompressedStart;
      for await (const bytes of this.#extract(range.layer, span)) {
        const from = Math.max(0, range.start - position);
        const to = Math.min(bytes.length, range.end - position);
        if (from < to) {
          made += to - from;
          yield bytes.subarray(from, to);
        }
        position += bytes.length;
        if (position >= range.end) break;
      }
      this.#release(key);
    }
    if (made < range.end - range.start) throw endsEarly(range, made);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(new DOMException("the reader was closed", "AbortError"));
    this.#spans.clear();
    await Promise.allSettled(this.#running);
  }

  async *#extract(layer: number, span: SpanId): AsyncGenerator<Uint8Array, void> {
    const { ztoc, descriptor } = this.#layer(layer);
    for (let refetches = 0; ; refetches++) {
      const compressed = await this.#compressed(layer, span);
      const chunks = extractSpan(ztoc, span, compressed, this.#engine);
      let first: IteratorResult<Uint8Array, void>;
      try {
        // The digest is checked before the first chunk: after it the bytes are known to be right.
        first = chunks.next();
      } catch (error) {
        if (!isKind(error, "data-loss")) throw error;
        const where = { layer: descriptor.digest, span, source: this.#source.name };
        if (refetches === REFETCHES) throw stillWrong(where, error);
        this.#log.warn("span refetched", { ...where, reason: error.message });
        this.#refetch(layer, span);
        continue;
      }
      if (first.done !== true) yield first.value;
      yield* chunks;
      return;
    }
  }

  async #compressed(layer: number, span: SpanId): Promise<Uint8Array> {
    this.#startFetches(this.#fetchIndexOf(layer, span));
    const planned = this.#spans.get(keyOf(layer, span));
    if (planned === undefined) throw new Error(`span ${span} of layer ${layer} is not planned`);
    return await planned;
  }

  /** Asks for a span again, in the place of what came first: for this reader and for later ones. */
  #refetch(layer: number, span: SpanId): void {
    const { ztoc } = this.#layer(layer);
    const { compressedStart, compressedEnd } = ztoc.zinfo.rangeOf(span, ztoc);
    this.#start({ layer, firstSpan: span, lastSpan: span, compressedStart, compressedEnd });
  }

  #fetchIndexOf(layer: number, span: SpanId): number {
    return this.#fetches.findIndex(
      (fetch) => fetch.layer === layer && fetch.firstSpan <= span && span <= fetch.lastSpan,
    );
  }

  /** Starts the request that is being read and those behind it, as far as may be run ahead. */
  #startFetches(reading: number): void {
    const until = Math.min(this.#fetches.length, reading + FETCHES_AHEAD);
    let ahead = this.#fetches
      .slice(reading + 1, this.#started)
      .reduce((sum, fetch) => sum + sizeOf(fetch), 0);
    for (; this.#started < until; this.#started++) {
      const fetch = this.#fetches[this.#started];
      if (fetch === undefined) return;
      if (this.#started > reading) ahead += sizeOf(fetch);
      if (ahead > BYTES_AHEAD && this.#started > reading) return;
      this.#start(fetch);
    }
  }

  #start(fetch: PlannedFetch): void {
    const parts = new Map<SpanId, PromiseWithResolvers<Uint8Array>>();
    for (let span = fetch.firstSpan; span <= fetch.lastSpan; span++) {
      const part = Promise.withResolvers<Uint8Array>();
      // Whoever reads the span sees its failure; unread spans fail silently with the reader.
      part.promise.catch(() => undefined);
      parts.set(span, part);
      this.#spans.set(keyOf(fetch.layer, span), part.promise);
    }
    this.#running.push(this.#fetch(fetch, parts).catch(() => undefined));
  }

  /** Brings one range and settles each span's promise as soon as its last byte is there. */
  async #fetch(
    fetch: PlannedFetch,
    parts: ReadonlyMap<SpanId, PromiseWithResolvers<Uint8Array>>,
  ): Promise<void> {
    const { descriptor, ztoc } = this.#layer(fetch.layer);
    let length = 0;
    let span = fetch.firstSpan;
    const settle = (bytes: Uint8Array) => {
      for (; span <= fetch.lastSpan; span++) {
        const { compressedStart, compressedEnd } = ztoc.zinfo.rangeOf(span, ztoc);
        if (compressedEnd - fetch.compressedStart > length) return;
        parts
          .get(span)
          ?.resolve(
            bytes.subarray(
              compressedStart - fetch.compressedStart,
              compressedEnd - fetch.compressedStart,
            ),
          );
      }
    };
    try {
      const bytes = memoryFor(fetch);
      const chunks = this.#source.blobRange(descriptor, {
        start: fetch.compressedStart,
        end: fetch.compressedEnd,
        signal: this.#signal,
      });
      for await (const chunk of chunks) {
        bytes.set(chunk, length);
        length += chunk.length;
        settle(bytes);
      }
      settle(bytes);
    } catch (error) {
      for (const part of parts.values()) part.reject(error);
      throw error;
    }
  }

  #release(key: string): void {
    const left = (this.#usesLeft.get(key) ?? 1) - 1;
    this.#usesLeft.set(key, left);
    if (left === 0) this.#spans.delete(key);
  }

  *#spansOf({ layer, start, end }: LayerRange): Iterable<SpanId> {
    if (end <= start) return;
    const [first, last] = spansOf(this.#layer(layer).ztoc, start, end) ?? [0, -1];
    for (let span = first; span <= last; span++) yield span;
  }

  #layer(layer: number): SpanLayer {
    const found = this.#layers[layer];
    if (found === undefined) throw new Error(`layer ${layer} has no zTOC`);
    return found;
  }
}

/** A zTOC may say of a file that it lies where its layer has nothing. */
function endsEarly({ layer, start, end }: LayerRange, made: number): SociError {
  return new SociError(
    "data-loss",
    `Cannot read bytes ${start} to ${end} of layer ${layer}: there are ${made}, want ${end - start}`,
  );
}

/** A hostile zTOC may have one span of a layer of a terabyte. */
function memoryFor(fetch: PlannedFetch): Uint8Array {
  const size = sizeOf(fetch);
  if (size > MAX_SPAN_BYTES) {
    throw new SociError(
      "unsupported",
      `Cannot read span ${fetch.firstSpan} of layer ${fetch.layer}: it has ${size} bytes, want at most ${MAX_SPAN_BYTES}`,
    );
  }
  return new Uint8Array(size);
}

function sizeOf({ compressedStart, compressedEnd }: PlannedFetch): number {
  return compressedEnd - compressedStart;
}

function stillWrong(
  {
    layer,
    span,
    source,
  }: { readonly layer: string; readonly span: SpanId; readonly source: string },
  cause: SociError,
): SociError {
  return new SociError(
    "data-loss",
    `Cannot read span ${span} of layer ${layer} of "${source}": its bytes are wrong each of ${REFETCHES + 1} times`,
    { cause, hint: "The registry, or something before it, serves damaged bytes" },
  );
}

function keyOf(layer: number, span: SpanId): string {
  return `${layer}:${span}`;
}
