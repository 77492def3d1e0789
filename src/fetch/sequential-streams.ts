/** Uncompressed bytes [start, end) of a layer that a reader will come to. */
export interface AheadRange {
  readonly start: number;
  readonly end: number;
}

export interface SequentialStreamsOptions {
  /** The furthest that reading ahead goes, in uncompressed bytes. */
  readonly maxAheadBytes: number;
  /** Number and start of the span of an uncompressed offset. */
  readonly spanOf: (offset: number) => number;
  readonly spanStart: (span: number) => number;
}

interface Stream {
  /** Where the reader has got to. */
  end: number;
  /** Bytes that it has read in a row, and how many of them before the file that it is in. */
  run: number;
  before: number;
  fileEnd: number;
  /** Up to where bytes have been asked for ahead of it. */
  aheadEnd: number;
}

/** Readers of one layer that are kept apart. */
const MAX_STREAMS = 16;
/** Reads in a row overtake one another on their way here; headers and files that are passed over lie between. */
const MAX_BACK = 2 << 20;
const MAX_GAP = 256 * 1024;
/** How far ahead of a reader, by what it has read in a row. */
const AHEAD_FACTOR = 4;
/** All that is taken for read, when the cache answered what came between. */
const UNSEEN_RUN = 1 << 20;

/**
 * Sees who reads a layer from front to back, in offsets of the tar: a large file, or a folder of
 * small ones in order. What has been read in a row is the measure of how far is read ahead; a read
 * somewhere else has nothing ahead of it. Only reads that the cache cannot answer are seen here, so
 * a reader that comes to the start of a span after one before it may have read all between.
 */
export class SequentialStreams {
  readonly #options: SequentialStreamsOptions;
  /** The last used last. */
  readonly #streams: Stream[] = [];

  constructor(options: SequentialStreamsOptions) {
    this.#options = options;
  }

  /**
   * Somebody reads [start, end) of a file that ends at `fileEnd`; what should be asked for behind it,
   * if anything. Behind the file is only read ahead of who has come into it from another.
   */
  observe(start: number, end: number, fileEnd = Number.POSITIVE_INFINITY): AheadRange | undefined {
    const stream = this.#take(({ end: at }) => start >= at - MAX_BACK && start <= at + MAX_GAP);
    if (stream !== undefined) {
      enter(stream, fileEnd);
      return this.#extend(stream, end, end - start);
    }
    const entered = this.#take((other) => this.#isNextSpan(other, start));
    if (entered !== undefined) {
      enter(entered, fileEnd);
      return this.#extend(entered, end, UNSEEN_RUN);
    }
    this.#streams.push({ end, run: end - start, before: 0, fileEnd, aheadEnd: end });
    if (this.#streams.length > MAX_STREAMS) this.#streams.shift();
    return undefined;
  }

  /** A reader was seen in [start, end), which had been asked for ahead of it. */
  advance(start: number, end: number): AheadRange | undefined {
    const stream = this.#take(({ end: at, aheadEnd }) => at < end && start < aheadEnd);
    return stream === undefined ? undefined : this.#extend(stream, end, end - stream.end);
  }

  #take(isIt: (stream: Stream) => boolean): Stream | undefined {
    const index = this.#streams.findLastIndex(isIt);
    const stream = index < 0 ? undefined : this.#streams.splice(index, 1)[0];
    if (stream !== undefined) this.#streams.push(stream);
    return stream;
  }

  #isNextSpan({ end }: Stream, start: number): boolean {
    const { spanOf, spanStart } = this.#options;
    const span = spanOf(start);
    return spanOf(Math.max(0, end - 1)) === span - 1 && start - spanStart(span) <= MAX_GAP;
  }

  #extend(stream: Stream, end: number, read: number): AheadRange | undefined {
    if (end <= stream.end) return undefined;
    stream.run += Math.min(read, end - stream.end);
    stream.end = end;
    const { maxAheadBytes } = this.#options;
    const ahead = end + Math.min(stream.run * AHEAD_FACTOR, maxAheadBytes);
    const beyond = end + Math.min(stream.before * AHEAD_FACTOR, maxAheadBytes);
    const start = Math.max(stream.aheadEnd, end);
    stream.aheadEnd = Math.max(start, Math.min(ahead, Math.max(stream.fileEnd, beyond)));
    return start < stream.aheadEnd ? { start, end: stream.aheadEnd } : undefined;
  }
}

function enter(stream: Stream, fileEnd: number): void {
  if (stream.fileEnd === fileEnd) return;
  stream.before = stream.run;
  stream.fileEnd = fileEnd;
}
