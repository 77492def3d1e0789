import { deflateRawSync } from "node:zlib";
import type { InflateEngine } from "../deflate/inflate-engine.ts";

const SAMPLE_BYTES = 64 * 1024;
const ROUNDS = 4;

/** Runs an engine on a little data, so that it is compiled when the first real bytes come: 1 ms less then. */
export function warmInflate(engine: InflateEngine): void {
  const compressed = new Uint8Array(deflateRawSync(sample(), { level: 1 }));
  for (let round = 0; round < ROUNDS; round++) {
    engine.start();
    engine.feed(compressed);
    engine.endInput();
    while (engine.run() !== "end");
  }
}

/** Letters and copies of what came before, as files have them. */
function sample(): Uint8Array {
  const bytes = new Uint8Array(SAMPLE_BYTES);
  let state = 1;
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const isCopy = i > 300 && (state & 0x4000_0000) !== 0;
    bytes[i] = isCopy ? (bytes[i - 1 - ((state >>> 8) % 300)] ?? 0) : 97 + ((state >>> 24) & 15);
  }
  return bytes;
}
