import type { LayerFiles } from "../cache/layer-files.ts";
import { SpanWriter } from "../cache/span-writer.ts";
import { isKind } from "../errors.ts";
import { WasmEngine } from "../deflate/wasm-engine.ts";
import { piecesOf } from "../fetch/compressed-body.ts";
import { PROGRESS_BYTES } from "../fetch/span-filler.ts";
import { SpanFill } from "../fetch/span-fill.ts";
import { FIRST_SLOT_WORD, type FillMessage, type InflateAnswer } from "./inflate-messages.ts";
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

  get isIdle(): boolean {
    return this.#fills.size === 0;
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

  /** Works on the most urgent fill for a slice. */
  step(): void {
    const fill = this.#next();
    if (fill === undefined) return;
    try {
      fill.engine ??= this.#takeEngine();
      if (fill.step(SLICE_BYTES)) this.#end(fill);
    } catch (error) {
      fill.fail(error);
      this.#end(fill);
    }
  }

  /** An engine for a while. */
  withEngine(use: (engine: WasmEngine) => void): void {
    const engine = this.#takeEngine();
    use(engine);
    this.#engines.push(engine);
  }

  #next(): RunningFill | undefined {
    const hasEngine = this.#engines.length > 0 || this.#engineCount < MAX_ENGINES;
    let best: RunningFill | undefined;
    for (const fill of this.#fills.values()) {
      if (fill.engine === undefined && !hasEngine) continue;
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
  #wantEnd: number;
  #fill: SpanFill | undefined;
  #writer: SpanWriter | undefined;
  #memory: Uint8Array<ArrayBuffer> | undefined;
  #isFull: boolean;

  constructor(message: FillMessage, options: InflateLoopOptions) {
    this.slot = message.slot;
    this.urgency = message.urgency;
    this.#message = message;
    this.#options = options;
    this.#files = options.layerOf(message.layer);
    this.#wantEnd = message.wantEnd;
    this.#isFull = message.toMemory;
  }

  want(urgency: number, wantEnd: number): void {
    this.urgency = Math.min(this.urgency, urgency);
    this.#wantEnd = wantEnd;
    this.#tellReadable();
  }

  /** Whether it has ended, and the answer is given. */
  step(bytes: number): boolean {
    this.#fill ??= this.#start();
    const fill = this.#fill;
    fill.step(bytes);
    if (this.#isFull && this.#memory === undefined) {
      // From the start again, this time into memory: what was written stays readable until then.
      this.#fill = undefined;
      this.#writer = undefined;
      return false;
    }
    if (fill.isDone) this.#finish();
    else this.#tellReadable();
    return fill.isDone;
  }

  fail(error: unknown): void {
    const isWrong = this.#fill === undefined && isKind(error, "data-loss");
    const kind = isWrong ? "wrong" : "failed";
    this.#options.answer({ kind, slot: this.slot, error: errorMessageOf(error) });
  }

  #start(): SpanFill {
    const { span, start, length, chunks } = this.#message;
    const { geometry } = this.#files;
    if (this.#isFull) this.#memory = new Uint8Array(geometry.uncompressedLength(span));
    else this.#writer = new SpanWriter(this.#files, span);
    const from = geometry.uncompressedStart(span);
    return new SpanFill({
      geometry,
      span,
      window: (of) => this.#files.window(of),
      pieces: piecesOf({ chunks, start, length }, this.#options.chunkOf),
      engine: this.engine ?? new WasmEngine(),
      write: (offset, bytes) => {
        if (this.#memory !== undefined) this.#memory.set(bytes, offset - from);
        else if (!this.#isFull) this.#isFull = this.#writer?.write(bytes) === false;
      },
    });
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
    if (this.#writer === undefined) return;
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
