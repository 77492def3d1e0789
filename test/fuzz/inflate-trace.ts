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
  { start = {}, pieceBytes = () => input.length, spanBytes = -1 }: TraceOptions = {},
): InflateTrace {
  const parts: Buffer[] = [];
  const boundaries: string[] = [];
  const window = Buffer.alloc(WINDOW_BYTES);
  let at = 0;
  let ended = false;
  let idle = 0;
  let stopAfter = spanBytes;
  const traced = (whole: boolean, rest: Uint8Array): InflateTrace => ({
    whole,
    bytes: Buffer.concat(parts),
    boundaries,
    rest: Buffer.from(rest),
  });
  engine.start(start);
  for (;;) {
    let stop: InflateStop;
    try {
      stop = engine.run(stopAfter);
    } catch (error) {
      if (!isKind(error, "data-loss")) throw error;
      return traced(false, new Uint8Array(0));
    }
    idle = engine.output.length > 0 ? 0 : idle + 1;
    parts.push(Buffer.from(engine.output));
    if (stop === "boundary") {
      idle = 0;
      stopAfter = spanBytes < 0 ? -1 : engine.totalOut + spanBytes;
      engine.copyWindow(window);
      boundaries.push(`${engine.totalIn}.${engine.bits} ${engine.totalOut} ${Bun.hash(window)}`);
    } else if (stop === "end") {
      return traced(true, Buffer.concat([engine.takeRest(), input.subarray(at)]));
    } else if (stop === "input") {
      if (ended) throw new Error("run() asked for input after its end");
      if (at < input.length) {
        const taken = engine.feed(input.subarray(at, at + Math.max(1, pieceBytes())));
        at += taken;
        idle -= taken > 0 ? 1 : 0;
      } else {
        engine.endInput();
        ended = true;
      }
    }
    if (idle > 3) throw new Error("run() came back again and again with nothing done");
    if (engine.totalOut > MAX_OUTPUT_BYTES) return traced(false, new Uint8Array(0));
  }
}

/** Fails unless one of two byte strings is the beginning of the other. */
export function isPrefixOfOther(one: Uint8Array, other: Uint8Array): boolean {
  const length = Math.min(one.length, other.length);
  return Buffer.compare(one.subarray(0, length), other.subarray(0, length)) === 0;
}
