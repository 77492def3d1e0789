import type { LayerHandle } from "../cache/layer-files.ts";
import type { CompressedSpan } from "../fetch/compressed-body.ts";
import type { SharedChunk } from "../fetch/shared-chunks.ts";
import {
  type FillEvents,
  type FillHandle,
  type FillOutcome,
  type FillRequest,
  PROGRESS_BYTES,
  type SpanFiller,
} from "../fetch/span-filler.ts";
import { DEMAND } from "../fetch/fetch-priority.ts";
import {
  FILL_SLOTS,
  FIRST_SLOT_WORD,
  type InflateAnswer,
  type InflateRequest,
  SENT_WORD,
  SHARED_WORDS,
} from "./inflate-messages.ts";
import type { WorkerPort } from "./worker-conversation.ts";
import { errorOf } from "./ztoc-messages.ts";

export type InflatePort = WorkerPort<InflateRequest, InflateAnswer>;

export interface InflatePoolOptions {
  readonly spawn: () => InflatePort;
  /** Threads, at most. */
  readonly count: number;
}

/** A thread has the next fill at hand when one ends; more wait here, where urgency can pass them. */
const FILLS_AHEAD = 2;

/** Fills spans in threads, which are started when needed. */
export class InflatePool implements SpanFiller, AsyncDisposable {
  readonly #spawn: () => InflatePort;
  readonly #count: number;
  readonly #threads: InflateThread[] = [];
  readonly #layers = new Map<number, LayerHandle>();
  /** Not sent yet, in the order of asking. */
  readonly #waiting = new Set<Fill>();
  #isDisposed = false;

  /** @throws RangeError unless `count` is a whole number of at least 1 */
  constructor({ spawn, count }: InflatePoolOptions) {
    if (!Number.isSafeInteger(count) || count < 1) {
      throw new RangeError(`Cannot inflate in ${count} threads, want 1 or more`);
    }
    this.#spawn = spawn;
    this.#count = count;
  }

  openLayer(layer: number, handle: LayerHandle): void {
    this.#layers.set(layer, handle);
  }

  closeLayer(layer: number): void {
    this.#layers.delete(layer);
    for (const thread of this.#threads) thread.close(layer);
  }

  dropChunks(ids: readonly number[]): void {
    for (const thread of this.#threads) thread.drop(ids);
  }

  warm(): void {
    if (this.#isDisposed) return;
    while (this.#threads.length < this.#count) this.#start();
    for (const thread of this.#threads) thread.warm();
  }

  fill(request: FillRequest, events: FillEvents): FillHandle {
    if (this.#isDisposed) throw new Error("InflatePool used after its disposal");
    const fill = new Fill(request, events, {
      onRaise: (raised) => this.#send(raised),
      onAbort: (aborted) => this.#cancel(aborted),
    });
    this.#waiting.add(fill);
    this.#sendMore();
    return fill;
  }

  /** Ends the threads, once they have closed their files. Fills under way never end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#waiting.clear();
    await Promise.all(this.#threads.splice(0).map((thread) => thread[Symbol.asyncDispose]()));
  }

  /** Demand is sent at once: its thread puts everything else aside for it. */
  #sendMore(): void {
    for (;;) {
      const next = mostUrgent(this.#waiting);
      if (next === undefined) return;
      const thread = this.#threadFor(next);
      if (thread === undefined) return;
      this.#waiting.delete(next);
      thread.fill(next, this.#handleOf(next));
    }
  }

  /** A fill that was waiting has become more urgent. */
  #send(fill: Fill): void {
    if (this.#waiting.has(fill)) this.#sendMore();
  }

  /** A fill that was waiting is not wanted any more. */
  #cancel(fill: Fill): void {
    if (!this.#waiting.delete(fill)) return;
    queueMicrotask(() => fill.events.onEnd({ kind: "aborted" }));
  }

  #threadFor(fill: Fill): InflateThread | undefined {
    let best: InflateThread | undefined;
    for (const thread of this.#threads) {
      if (best === undefined || thread.loadFor(fill.urgency) < best.loadFor(fill.urgency)) {
        best = thread;
      }
    }
    const isBusy = best === undefined || best.fills > 0;
    if (isBusy && this.#threads.length < this.#count) return this.#start();
    if (best === undefined || best.fills >= FILL_SLOTS) return undefined;
    return best.fills < FILLS_AHEAD || fill.urgency === DEMAND ? best : undefined;
  }

  #start(): InflateThread {
    const thread = new InflateThread(this.#spawn(), {
      onRoom: () => this.#sendMore(),
      onDeath: () => {
        const place = this.#threads.indexOf(thread);
        if (place >= 0) this.#threads.splice(place, 1);
      },
    });
    this.#threads.push(thread);
    return thread;
  }

  #handleOf({ request }: Fill): LayerHandle {
    const handle = this.#layers.get(request.layer);
    if (handle === undefined) throw new Error(`layer ${request.layer} is not open`);
    return handle;
  }
}

interface WaitingEvents {
  readonly onRaise: (fill: Fill) => void;
  readonly onAbort: (fill: Fill) => void;
}

class Fill implements FillHandle {
  readonly request: FillRequest;
  readonly events: FillEvents;
  readonly #waiting: WaitingEvents;
  urgency: number;
  wantEnd: number;
  compressed: CompressedSpan;
  isComplete: boolean;
  /** Where it is, once it has been sent. */
  place: { readonly thread: InflateThread; readonly slot: number } | undefined;

  constructor(request: FillRequest, events: FillEvents, waiting: WaitingEvents) {
    this.request = request;
    this.events = events;
    this.#waiting = waiting;
    this.urgency = request.urgency;
    this.wantEnd = request.wantEnd;
    this.compressed = request.compressed;
    this.isComplete = request.isComplete;
  }

  get reached(): number {
    const { uncompressedStart } = this.request;
    return uncompressedStart + (this.place?.thread.blocksOf(this.place.slot) ?? 0) * PROGRESS_BYTES;
  }

  want(urgency: number, end: number): void {
    this.urgency = Math.min(this.urgency, urgency);
    this.wantEnd = end;
    if (this.place === undefined) this.#waiting.onRaise(this);
    else this.place.thread.want(this.place.slot, this);
  }

  append(compressed: CompressedSpan, isComplete: boolean): void {
    const known = this.compressed.chunks.length;
    this.compressed = compressed;
    this.isComplete = isComplete;
    this.place?.thread.append(this.place.slot, this, known);
  }

  abort(): void {
    if (this.place === undefined) this.#waiting.onAbort(this);
    else this.place.thread.abort(this.place.slot);
  }
}

interface ThreadEvents {
  readonly onRoom: () => void;
  readonly onDeath: () => void;
}

/** One thread as the pool sees it. */
class InflateThread implements AsyncDisposable {
  readonly #port: InflatePort;
  readonly #events: ThreadEvents;
  readonly #words = new Int32Array(new SharedArrayBuffer(SHARED_WORDS * 4));
  readonly #fills = new Map<number, Fill>();
  readonly #freeSlots = Array.from({ length: FILL_SLOTS }, (_, slot) => FILL_SLOTS - 1 - slot);
  readonly #knownLayers = new Set<number>();
  readonly #knownChunks = new Set<number>();
  readonly #ended = Promise.withResolvers<void>();
  #isWarm = false;

  constructor(port: InflatePort, events: ThreadEvents) {
    this.#port = port;
    this.#events = events;
    port.addEventListener("message", ({ data }) => this.#hear(data));
    port.addEventListener("error", (event) => {
      this.#die(new Error(`inflate thread failed: ${event.message}`, { cause: event.error }));
    });
    this.#post({ kind: "start", words: this.#words.buffer as SharedArrayBuffer }); // made just above
  }

  get fills(): number {
    return this.#fills.size;
  }

  /** What a fill of this urgency would have to wait for, then everything else. */
  loadFor(urgency: number): number {
    let load = 0;
    for (const fill of this.#fills.values()) load += fill.urgency <= urgency ? FILL_SLOTS : 1;
    return load;
  }

  blocksOf(slot: number): number {
    return Atomics.load(this.#words, FIRST_SLOT_WORD + slot);
  }

  warm(): void {
    if (this.#isWarm) return;
    this.#isWarm = true;
    this.#post({ kind: "warm" });
  }

  fill(fill: Fill, handle: LayerHandle): void {
    const slot = this.#freeSlots.pop();
    if (slot === undefined) throw new Error("no slot is free");
    const { layer, span, toMemory } = fill.request;
    const { compressed, isComplete } = fill;
    if (!this.#knownLayers.has(layer)) {
      this.#knownLayers.add(layer);
      this.#post({ kind: "open", layer, handle });
    }
    this.#fills.set(slot, fill);
    fill.place = { thread: this, slot };
    Atomics.store(this.#words, FIRST_SLOT_WORD + slot, 0);
    this.#post({
      kind: "fill",
      slot,
      layer,
      span,
      chunks: compressed.chunks.map(({ id }) => id),
      newChunks: this.#learn(compressed.chunks),
      start: compressed.start,
      length: compressed.length,
      isComplete,
      urgency: fill.urgency,
      wantEnd: fill.wantEnd,
      toMemory,
    });
  }

  want(slot: number, { urgency, wantEnd }: Fill): void {
    this.#post({ kind: "want", slot, urgency, wantEnd });
  }

  append(slot: number, { compressed, isComplete }: Fill, known: number): void {
    const chunks = compressed.chunks.slice(known);
    this.#post({
      kind: "append",
      slot,
      chunks: chunks.map(({ id }) => id),
      newChunks: this.#learn(chunks),
      length: compressed.length,
      isComplete,
    });
  }

  abort(slot: number): void {
    this.#post({ kind: "abort", slot });
  }

  close(layer: number): void {
    if (this.#knownLayers.delete(layer)) this.#post({ kind: "close", layer });
  }

  drop(ids: readonly number[]): void {
    const chunks = ids.filter((id) => this.#knownChunks.delete(id));
    if (chunks.length > 0) this.#post({ kind: "drop", chunks });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#fills.clear();
    this.#post({ kind: "end" });
    await this.#ended.promise;
    this.#port.terminate();
  }

  #learn(chunks: readonly SharedChunk[]): (readonly [number, SharedArrayBuffer])[] {
    const unknown = chunks.filter(({ id }) => !this.#knownChunks.has(id));
    for (const { id } of unknown) this.#knownChunks.add(id);
    return unknown.map(({ id, memory }) => [id, memory]);
  }

  #post(request: InflateRequest): void {
    this.#port.postMessage(request, []);
    Atomics.add(this.#words, SENT_WORD, 1);
  }

  #hear(answer: InflateAnswer): void {
    if (answer.kind === "ended") {
      this.#ended.resolve();
      return;
    }
    const fill = this.#fills.get(answer.slot);
    if (fill === undefined) return;
    if (answer.kind === "reached") fill.events.onReached();
    else this.#end(answer.slot, fill, outcomeOf(answer));
  }

  #end(slot: number, fill: Fill, outcome: FillOutcome): void {
    this.#fills.delete(slot);
    this.#freeSlots.push(slot);
    fill.place = undefined;
    fill.events.onEnd(outcome);
    this.#events.onRoom();
  }

  #die(error: Error): void {
    this.#events.onDeath();
    this.#port.terminate();
    this.#ended.resolve();
    for (const [slot, fill] of [...this.#fills]) this.#end(slot, fill, { kind: "failed", error });
  }
}

function mostUrgent(fills: Iterable<Fill>): Fill | undefined {
  let best: Fill | undefined;
  for (const fill of fills) if (best === undefined || fill.urgency < best.urgency) best = fill;
  return best;
}

function outcomeOf(answer: Exclude<InflateAnswer, { kind: "reached" | "ended" }>): FillOutcome {
  switch (answer.kind) {
    case "filled":
    case "aborted":
      return { kind: answer.kind };
    case "kept":
      return { kind: "kept", bytes: answer.bytes };
    case "wrong":
    case "failed":
      return { kind: answer.kind, error: errorOf(answer.error) };
  }
}
