import type { BlobOpened } from "../oci/image-source.ts";
import { CompressedBody, type CompressedSpan } from "./compressed-body.ts";
import { DEMAND, UNWANTED, type Urgency } from "./fetch-priority.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";
import type { SharedChunks } from "./shared-chunks.ts";
import type { SpanTask } from "./span-task.ts";

export interface RangeFetchEvents {
  /** The answer has begun. */
  onOpen(fetch: RangeFetch, opened: BlobOpened): void;
  onBytes(fetch: RangeFetch, bytes: number): void;
  /** The first bytes of the next task's span are here, which somebody waits for. */
  onPart(task: SpanTask, compressed: CompressedSpan): void;
  /** All bytes of the next task's span are here. */
  onSpan(fetch: RangeFetch, task: SpanTask, compressed: CompressedSpan): void;
}

export interface RangeFetchOptions {
  readonly layer: ScheduledLayer;
  /** In order, one or more; what lies between two is passed over. The first may have a beginning that came before. */
  readonly tasks: readonly SpanTask[];
  readonly isFresh: boolean;
  readonly chunks: SharedChunks;
  readonly events: RangeFetchEvents;
}

const RATE_BYTES = 256 * 1024;
const PART_BYTES = 128 * 1024;

/** One request: bytes of consecutive spans, each handed over as soon as its last byte is here. */
export class RangeFetch {
  readonly layer: ScheduledLayer;
  readonly start: number;
  readonly startedAt = performance.now();
  /** When the answer began. */
  openedAt: number | undefined;
  /** When something was last heard, or we were last ready to hear. */
  heardAt = this.startedAt;
  urgency: Urgency = UNWANTED;
  /** Bytes that the budget counts as still to come. */
  budgeted = 0;
  /** Whether bytes have come. */
  hasBegun = false;
  /** Whether the cache has been asked for room for the spans, and when it has. */
  isRoomKnown = false;
  room: Promise<void> = Promise.resolve();
  readonly #options: RangeFetchOptions;
  /** Not handed over yet. */
  readonly #left: SpanTask[];
  readonly #requestedEnd: number;
  readonly #body: CompressedBody;
  readonly #abort = new AbortController();
  #end: number;
  /** Up to where bytes have been handed over, in part or whole. */
  #parted = 0;
  #isPaused = false;
  #resumed = Promise.withResolvers<void>();

  constructor(options: RangeFetchOptions) {
    const { tasks, chunks, layer } = options;
    const [first] = tasks;
    const last = tasks.at(-1);
    if (first === undefined || last === undefined) throw new Error("a request for no span");
    this.layer = layer;
    this.#options = options;
    this.#left = [...tasks];
    this.#body = first.partial ?? new CompressedBody(chunks, first.compressedStart);
    first.partial = undefined;
    this.start = this.#body.end;
    this.#end = last.compressedEnd;
    this.#requestedEnd = this.#end;
    this.reweigh();
  }

  /** Spans whose last byte has not come. */
  get left(): readonly SpanTask[] {
    return this.#left;
  }

  /** Offset in the blob of the next byte to come. */
  get position(): number {
    return this.#body.end;
  }

  /** Bytes that shall still come. */
  get bytesLeft(): number {
    return Math.max(0, this.#end - this.#body.end);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  reweigh(): void {
    this.urgency = this.#left.reduce((least, { urgency }) => Math.min(least, urgency), UNWANTED);
    if (this.urgency === DEMAND) this.resume();
  }

  /** Takes no more from the line until resume(). */
  pause(): void {
    this.#isPaused = true;
  }

  /** Bytes a millisecond since the answer began; undefined when that says nothing yet. */
  rate(now: number): number | undefined {
    const bytes = this.#body.end - this.start;
    if (this.openedAt === undefined || bytes < RATE_BYTES || now <= this.openedAt) return undefined;
    return bytes / (now - this.openedAt);
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.heardAt = performance.now();
    this.#resumed.resolve();
    this.#resumed = Promise.withResolvers();
  }

  /** Ends before this task's span, which is not the next; returns it and those behind it. */
  cutBefore(task: SpanTask): SpanTask[] {
    const index = this.#left.indexOf(task);
    if (index < 1) return [];
    const cut = this.#left.splice(index);
    this.#end = this.#left.at(-1)?.compressedEnd ?? this.#end;
    this.reweigh();
    return cut;
  }

  /** Tells the budget what will not come, or is to come more. */
  rebudget(bytes: number = this.bytesLeft): void {
    const { budget } = this.layer.health;
    if (bytes > this.budgeted) budget.requested(bytes - this.budgeted);
    else budget.cancelled(this.budgeted - bytes);
    this.budgeted = bytes;
  }

  /** Breaks off: run() throws this. */
  abort(reason: unknown): void {
    this.#abort.abort(reason);
    this.resume();
  }

  /**
   * Until all spans that are left have been handed over. When it throws or returns early, what has
   * come of the first that is left stays with it.
   */
  async run(): Promise<void> {
    const { layer, events, isFresh } = this.#options;
    const { signal } = this.#abort;
    try {
      this.#handOver();
      if (this.#left.length === 0) return;
      const chunks = layer.health.source.blobRange(layer.descriptor, {
        start: this.#body.end,
        end: this.#end,
        isFresh,
        retry: false,
        signal,
        onOpen: (opened) => {
          this.openedAt = performance.now();
          this.heardAt = this.openedAt;
          events.onOpen(this, opened);
        },
      });
      for await (const chunk of chunks) {
        signal.throwIfAborted();
        this.heardAt = performance.now();
        this.openedAt ??= this.heardAt;
        const { length } = chunk;
        this.#body.append(chunk);
        giveBack(chunk);
        events.onBytes(this, length);
        this.#handOver();
        this.#handOverPart();
        // What was requested is read to its end, so that the connection is good for the next request.
        if (this.#left.length === 0 && this.#body.end < this.#requestedEnd) return;
        if (this.#isPaused) await this.#resumed.promise;
      }
    } finally {
      this.#keepPartial();
    }
  }

  #handOver(): void {
    for (let task = this.#left[0]; task !== undefined; task = this.#left[0]) {
      const { compressedStart, compressedEnd } = task;
      this.#body.forget(Math.min(compressedStart, this.#body.end));
      if (compressedEnd > this.#body.end) return;
      const compressed = this.#body.cut(compressedStart, compressedEnd);
      this.#left.shift();
      this.#parted = compressedEnd;
      this.#options.events.onSpan(this, task, compressed);
    }
  }

  /** Inflating what has come of a span costs nothing more, and is done when the last of it comes. */
  #handOverPart(): void {
    const [task] = this.#left;
    if (task?.urgency !== DEMAND || task.isForMemory || task.room === undefined) return;
    const from = Math.max(this.#parted, task.compressedStart);
    if (this.#body.end - from < PART_BYTES) return;
    this.#parted = this.#body.end;
    this.#options.events.onPart(task, this.#body.cut(task.compressedStart, this.#body.end));
  }

  #keepPartial(): void {
    const [next] = this.#left;
    if (next === undefined || this.#body.end <= next.compressedStart) this.#body[Symbol.dispose]();
    else next.partial = this.#body;
  }
}

/** Frees the memory of a piece at once: garbage of this size and pace would be collected late. */
function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
