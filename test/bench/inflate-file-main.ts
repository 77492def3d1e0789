// Inflates a gzip file as it is read from disk; prints the bytes of output, which nobody reads.
// Usage: bun inflate-file-main.ts engine|gzip FILE   (gzip: headers, trailers and CRC-32 too)
import { closeSync, openSync, readSync } from "node:fs";
import { GzipDecoder } from "../../src/deflate/gzip-decoder.ts";
import { GzipHeader } from "../../src/deflate/gzip-header.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";

const BUFFER_BYTES = 256 * 1024;
const TRAILER_BYTES = 8;

const [kind, path = ""] = process.argv.slice(2);
process.stdout.write(String(kind === "gzip" ? decodeGzip() : inflateMembers()));

function decodeGzip(): number {
  const decoder = new GzipDecoder(new WasmEngine());
  for (const chunk of chunksOf(path)) {
    decoder.push(chunk);
    while (decoder.run() !== "input");
  }
  decoder.endInput();
  while (decoder.run() !== "end");
  return decoder.totalOut;
}

/** The engine alone: trailers are skipped, not checked. */
function inflateMembers(): number {
  const engine = new WasmEngine();
  const chunks = chunksOf(path);
  let rest: Uint8Array = new Uint8Array(0);
  const hasMore = (): boolean => {
    if (rest.length === 0) rest = chunks.next().value ?? rest;
    return rest.length > 0;
  };
  let total = 0;
  while (hasMore()) {
    const header = new GzipHeader();
    while (!header.done && hasMore()) rest = rest.subarray(header.push(rest));
    engine.start();
    for (;;) {
      const stop = engine.run();
      if (stop === "end") break;
      if (stop !== "input") continue;
      if (hasMore()) rest = rest.subarray(engine.feed(rest));
      else engine.endInput();
    }
    total += engine.totalOut;
    rest = Buffer.concat([engine.takeRest(), rest]);
    for (let toSkip = TRAILER_BYTES; toSkip > 0 && hasMore();) {
      const skipped = Math.min(toSkip, rest.length);
      toSkip -= skipped;
      rest = rest.subarray(skipped);
    }
  }
  return total;
}

function* chunksOf(name: string): Generator<Uint8Array, undefined> {
  const fd = openSync(name, "r");
  try {
    const buffer = new Uint8Array(BUFFER_BYTES);
    for (;;) {
      const length = readSync(fd, buffer, 0, buffer.length, null);
      if (length === 0) return undefined;
      yield buffer.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}
