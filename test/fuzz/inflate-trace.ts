import type { InflateEngine, InflateStart, InflateStop } from "../../src/deflate/inflate-engine.ts";
import { WINDOW_BYTES } from "../../src/deflate/inflate-engine.ts";
import { isKind } from "../../src/errors.ts";

export interface InflateTrace {
  /** Whether the stream was taken to its end. */
  readonly whole: boolean;
  readonly bytes: Buffer;
  /** Place of each block boundary, with a hash of its window. */
  readonly boundaries: readonly string[];
  /** Bytes after the last block; empty when the stream was refused. */
  readonly rest: Buffer;
}

export interface TraceOptions {
  readonly start?: InflateStart;
  /** Bytes of the next piece of input. */
  readonly pieceBytes?: () => number;
  /** Boundaries with no more output than this since the last one are passed over; by default none is. */
  readonly spanBytes?: number;
}

/** Most bytes a fuzzed stream may make: what goes on for longer is cut off. */
const MAX_OUTPUT_BYTES = 4 << 20;

/** Runs an engine over `input` until its end, an error, or 4 MiB; fails when it goes on without progress. */
export function traceInflate(
  engine: InflateEngine,
  input: Uint8Array,
  options: TraceOptions = {},
): InflateTrace {
  return new Tracer(engine, input, options).run();
}

class Tracer {
  readonly #engine: InflateEngine;
  readonly #input: Uint8Array;
  readonly #pieceBytes: () => number;
  readonly #spanBytes: number;
  readonly #parts: Buffer[] = [];
  readonly #boundaries: string[] = [];
  readonly #window = Buffer.alloc(WINDOW_BYTES);
  #at = 0;
  #ended = false;
  /** How often run() has come back with nothing done. */
  #idle = 0;
  #stopAfter: number;

  constructor(
    engine: InflateEngine,
    input: Uint8Array,
    { start = {}, pieceBytes = () => input.length, spanBytes = -1 }: TraceOptions,
  ) {
    this.#engine = engine;
    this.#input = input;
    this.#pieceBytes = pieceBytes;
    this.#spanBytes = spanBytes;
    this.#stopAfter = spanBytes;
    engine.start(start);
  }

  run(): InflateTrace {
    const engine = this.#engine;
    while (engine.totalOut <= MAX_OUTPUT_BYTES) {
      const stop = this.#step();
      if (stop === "refused") break;
      if (stop === "end") {
        const rest = Buffer.concat([engine.takeRest(), this.#input.subarray(this.#at)]);
        return this.#trace(true, rest);
      }
      if (stop === "boundary") this.#onBoundary();
      if (stop === "input") this.#onInput();
      if (this.#idle > 3) throw new Error("run() came back again and again with nothing done");
    }
    return this.#trace(false, Buffer.alloc(0));
  }

  #step(): InflateStop | "refused" {
    let stop: InflateStop;
    try {
      stop = this.#engine.run(this.#stopAfter);
    } catch (error) {
      if (!isKind(error, "data-loss")) throw error;
      return "refused";
    }
    const { output } = this.#engine;
    this.#idle = output.length > 0 ? 0 : this.#idle + 1;
    this.#parts.push(Buffer.from(output));
    return stop;
  }

  #onBoundary(): void {
    const engine = this.#engine;
    this.#idle = 0;
    this.#stopAfter = this.#spanBytes < 0 ? -1 : engine.totalOut + this.#spanBytes;
    engine.copyWindow(this.#window);
    const place = `${engine.totalIn}.${engine.bits} ${engine.totalOut}`;
    this.#boundaries.push(`${place} ${Bun.hash(this.#window)}`);
  }

  #onInput(): void {
    if (this.#ended) throw new Error("run() asked for input after its end");
    if (this.#at === this.#input.length) {
      this.#engine.endInput();
      this.#ended = true;
      return;
    }
    const end = this.#at + Math.max(1, this.#pieceBytes());
    const taken = this.#engine.feed(this.#input.subarray(this.#at, end));
    this.#at += taken;
    if (taken > 0) this.#idle--;
  }

  #trace(whole: boolean, rest: Buffer): InflateTrace {
    return { whole, bytes: Buffer.concat(this.#parts), boundaries: this.#boundaries, rest };
  }
}

/** Fails unless one of two byte strings is the beginning of the other. */
export function isPrefixOfOther(one: Uint8Array, other: Uint8Array): boolean {
  const length = Math.min(one.length, other.length);
  return Buffer.compare(one.subarray(0, length), other.subarray(0, length)) === 0;
}
