import {
  ZStream,
  Z_BUF_ERROR,
  Z_NO_FLUSH,
  Z_OK,
  Z_STREAM_END,
  zlibInflate,
  zlibInflateInit2,
} from "pako";
import { GzipHeader } from "../../src/deflate/gzip-header.ts";
import type { InflateEngine } from "../../src/deflate/inflate-engine.ts";

const TRAILER_BYTES = 8;
const INPUT_BYTES = 256 * 1024;
const OUTPUT_BYTES = 128 * 1024;
const RAW = -15;

/** Inflates all members of a gzip file in memory with an engine; returns the bytes of output, which nobody reads. */
export function inflateAll(engine: InflateEngine, file: Uint8Array): number {
  let total = 0;
  let at = 0;
  while (at < file.length) {
    at += new GzipHeader().push(file.subarray(at));
    engine.start();
    for (;;) {
      const stop = engine.run();
      if (stop === "end") break;
      if (stop !== "input") continue;
      if (at === file.length) engine.endInput();
      else at += engine.feed(file.subarray(at, at + INPUT_BYTES));
    }
    total += engine.totalOut;
    at += TRAILER_BYTES - engine.takeRest().length;
  }
  return total;
}

/** The same with pako as it is meant to be used, without stops at block boundaries. */
export function pakoInflateAll(file: Uint8Array): number {
  const output = new Uint8Array(OUTPUT_BYTES);
  let total = 0;
  let at = 0;
  while (at < file.length) {
    at += new GzipHeader().push(file.subarray(at));
    const stream = new ZStream();
    zlibInflateInit2(stream, RAW);
    stream.output = output;
    for (;;) {
      if (stream.avail_in === 0) {
        stream.input = file.subarray(at, at + INPUT_BYTES);
        stream.next_in = 0;
        stream.avail_in = stream.input.length;
        at += stream.avail_in;
      }
      stream.next_out = 0;
      stream.avail_out = OUTPUT_BYTES;
      const wasAtEnd = stream.avail_in === 0;
      const status = zlibInflate(stream, Z_NO_FLUSH);
      total += OUTPUT_BYTES - stream.avail_out;
      if (status === Z_STREAM_END) break;
      if ((status !== Z_OK && status !== Z_BUF_ERROR) || wasAtEnd) {
        throw new Error(
          `Cannot inflate: pako's status is ${status} after byte ${at}, want ${Z_OK}`,
        );
      }
    }
    at += TRAILER_BYTES - stream.avail_in;
  }
  return total;
}
