import type { LayerFiles } from "../cache/layer-files.ts";
import { SpanWriter } from "../cache/span-writer.ts";
import { isKind } from "../errors.ts";
import { WasmEngine } from "../deflate/wasm-engine.ts";
import { CHUNK_BYTES } from "../fetch/shared-chunks.ts";
import { PROGRESS_BYTES } from "../fetch/span-filler.ts";
import { SpanFill } from "../fetch/span-fill.ts";
import {
  type AppendMessage,
  FIRST_SLOT_WORD,
  type FillMessage,
  type InflateAnswer,
} from "./inflate-messages.ts";
import { errorMessageOf } from "./ztoc-messages.ts";

export interface InflateLoopOptions {
  readonly words: Int32Array;
  readonly layerOf: (layer: number) => LayerFiles;
  readonly chunkOf: (chunk: number) => Uint8Array;
  readonly answer: (answer: InflateAnswer, transfer?: readonly ArrayBuffer[]) => void;
}

/** Streams that can be put aside half done; each engine is 1 MiB. */
const MAX_ENGINES = 3;
/** Between two looks at what else there is to do: 0.3 ms. */
const SLICE_BYTES = 256 * 1024;

/** The fills of one thread: a slice of the most urgent at a time. */
export class InflateLoop {
  readonly #options: InflateLoopOptions;
  readonly #fills = new Map<number, RunningFill>();
  readonly #engines: WasmEngine[] = [];
  #engineCount = 0;

  constructor(options: InflateLoopOptions) {
    this.#options = options;
  }

  append(message: AppendMessage): void {
    this.#fills.get(message.slot)?.append(message);
  }

  abort(slot: number): void {
    const fill = this.#fills.get(slot);
    if (fill === undefined) return;
    this.#options.answer({ kind: "aborted", slot });
    this.#end(fill);
  }

  add(message: FillMessage): void {
    try {
      this.#fills.set(message.slot, new RunningFill(message, this.#options));
    } catch (error) {
      const { slot } = message;
      this.#options.answer({ kind: "failed", slot, error: errorMessageOf(error) });
    }
  }

  want(slot: number, urgency: number, wantEnd: number): void {
    this.#fills.get(slot)?.want(urgency, wantEnd);
  }

  /** Works on the most urgent fill for a slice; false when there is nothing to do. */
  step(): boolean {
    const fill = this.#next();
    if (fill === undefined) return false;
    try {
      fill.engine ??= this.#takeEngine();
      if (fill.step(SLICE_BYTES)) this.#end(fill);
    } catch (error) {
      if (fill.fail(error)) this.#end(fill);
    }
    return true;
  }

  /** An engine for a while. */
  withEngine(use: (engine: WasmEngine) => void): void {
    const engine = this.#takeEngine();
    use(engine);
    this.#engines.push(engine);
  }

  #next(): RunningFill | undefined {
    const free = this.#engines.length + MAX_ENGINES - this.#engineCount;
    let best: RunningFill | undefined;
    for (const fill of this.#fills.values()) {
      // The last engine is for a fill that waits for nothing.
      const needed = fill.engine !== undefined ? 0 : fill.isComplete ? 1 : 2;
      if (free < needed || !fill.canStep) continue;
      if (best === undefined || fill.urgency < best.urgency) best = fill;
    }
    return best;
  }

  #takeEngine(): WasmEngine {
    const engine = this.#engines.pop();
    if (engine !== undefined) return engine;
    this.#engineCount += 1;
    return new WasmEngine();
  }

  #end(fill: RunningFill): void {
    this.#fills.delete(fill.slot);
    if (fill.engine !== undefined) this.#engines.push(fill.engine);
  }
}

/** One span, from its compressed bytes into the cache or, when there is no room, into memory. */
class RunningFill {
  readonly slot: number;
  urgency: number;
  engine: WasmEngine | undefined;
  readonly #message: FillMessage;
  readonly #options: InflateLoopOptions;
  readonly #files: LayerFiles;
  readonly #chunks: number[];
  #length: number;
  #isComplete: boolean;
  #wantEnd: number;
  #fill: SpanFill;
  #writer: SpanWriter | undefined;
  #memory: Uint8Array<ArrayBuffer> | undefined;
  #isFull: boolean;
  /** Of bytes that nobody has verified yet: it may be theirs. */
  #fault: { readonly error: unknown } | undefined;

  constructor(message: FillMessage, options: InflateLoopOptions) {
    this.slot = message.slot;
    this.urgency = message.urgency;
    this.#message = message;
    this.#options = options;
    this.#files = options.layerOf(message.layer);
    this.#chunks = [...message.chunks];
    this.#length = message.length;
    this.#isComplete = message.isComplete;
    this.#wantEnd = message.wantEnd;
    this.#isFull = message.toMemory;
    this.#fill = this.#start();
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  get canStep(): boolean {
    return this.#isComplete || this.#fill.size < this.#length || this.#fill.canStep;
  }

  want(urgency: number, wantEnd: number): void {
    this.urgency = Math.min(this.urgency, urgency);
    this.#wantEnd = wantEnd;
    this.#tellReadable();
  }

  append({ chunks, length, isComplete }: AppendMessage): void {
    this.#chunks.push(...chunks);
    this.#length = length;
    this.#isComplete = isComplete;
  }

  /** Whether it has ended, and the answer is given. */
  step(bytes: number): boolean {
    const fill = this.#fill;
    for (const piece of this.#newPieces(fill.size)) fill.push(piece);
    if (this.#isComplete && !fill.isVerified) fill.verify();
    if (this.#fault !== undefined && fill.isVerified) throw this.#fault.error;
    if (this.#fault === undefined) fill.step(bytes);
    if (this.#isFull && this.#memory === undefined) {
      // From the start again, this time into memory: what was written stays readable until then.
      this.#fill = this.#start();
      return false;
    }
    if (fill.isDone) this.#finish();
    else this.#tellReadable();
    return fill.isDone;
  }

  /** Whether that is the end; else it is known when all bytes have come. */
  fail(error: unknown): boolean {
    if (!this.#isComplete) {
      this.#fault ??= { error };
      return false;
    }
    const isWrong = !this.#fill.isVerified && isKind(error, "data-loss");
    const kind = isWrong ? "wrong" : "failed";
    this.#options.answer({ kind, slot: this.slot, error: errorMessageOf(error) });
    return true;
  }

  #start(): SpanFill {
    const { span } = this.#message;
    const { geometry } = this.#files;
    const memory = this.#isFull ? new Uint8Array(geometry.uncompressedLength(span)) : undefined;
    const writer = this.#isFull ? undefined : new SpanWriter(this.#files, span);
    let kept = 0;
    this.#memory = memory;
    this.#writer = writer;
    return new SpanFill({
      geometry,
      span,
      window: (of) => this.#files.window(of),
      engine: () => {
        if (this.engine === undefined) throw new Error("a fill without an engine");
        return this.engine;
      },
      write: (bytes) => {
        if (memory !== undefined) {
          memory.set(bytes, kept);
          kept += bytes.length;
        } else if (!this.#isFull) {
          this.#isFull = writer?.write(bytes) === false;
        }
      },
    });
  }

  /** What has come behind the first `from` bytes. */
  *#newPieces(from: number): Iterable<Uint8Array> {
    for (let at = from; at < this.#length;) {
      const offset = this.#message.start + at;
      const within = offset % CHUNK_BYTES;
      const count = Math.min(CHUNK_BYTES - within, this.#length - at);
      const chunk = this.#options.chunkOf(this.#chunks[Math.floor(offset / CHUNK_BYTES)] ?? -1);
      yield chunk.subarray(within, within + count);
      at += count;
    }
  }

  #finish(): void {
    const { slot } = this;
    if (this.#memory === undefined) this.#options.answer({ kind: "filled", slot });
    else {
      const bytes = this.#memory;
      this.#options.answer({ kind: "kept", slot, bytes }, [bytes.buffer]);
    }
  }

  #tellReadable(): void {
    if (this.#writer === undefined || !this.#fill.isVerified) return;
    const start = this.#files.geometry.uncompressedStart(this.#message.span);
    const { readable } = this.#writer;
    const blocks = Math.floor((readable - start) / PROGRESS_BYTES);
    Atomics.store(this.#options.words, FIRST_SLOT_WORD + this.slot, blocks);
    if (this.#wantEnd > 0 && readable >= this.#wantEnd) {
      this.#wantEnd = 0;
      this.#options.answer({ kind: "reached", slot: this.slot });
    }
  }
}
