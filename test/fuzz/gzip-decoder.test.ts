import { expect } from "bun:test";
import fc from "fast-check";
import { GzipDecoder } from "../../src/deflate/gzip-decoder.ts";
import type { InflateEngine } from "../../src/deflate/inflate-engine.ts";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { isKind } from "../../src/errors.ts";
import { fuzz } from "./fuzz.ts";
import { gunzipOracle } from "./gunzip-oracle.ts";
import { GZIP_SAMPLES, gzipMember } from "./gzip-samples.ts";
import { isPrefixOfOther } from "./inflate-trace.ts";
import { mutationsOf } from "./mutations.ts";

const ENGINES: readonly InflateEngine[] = [new WasmEngine(), new PakoEngine()];

interface Decoded {
  readonly whole: boolean;
  readonly bytes: Buffer;
  /** Where run() stopped at boundaries. */
  readonly boundaries: readonly string[];
}

/** Decodes in chunks of the given sizes; after an error, checks that nothing more comes. */
function decode(engine: InflateEngine, file: Uint8Array, sizes: readonly number[]): Decoded {
  const decoder = new GzipDecoder(engine);
  const parts: Buffer[] = [];
  const boundaries: string[] = [];
  let at = 0;
  let turn = 0;
  let idle = 0;
  for (;;) {
    try {
      const stop = decoder.run(-1);
      parts.push(Buffer.from(decoder.output));
      idle = stop === "output" && decoder.output.length === 0 ? idle + 1 : 0;
      if (idle > 3) throw new Error("run() came back again and again with nothing done");
      if (stop === "end") return { whole: true, bytes: Buffer.concat(parts), boundaries };
      if (stop === "boundary") {
        boundaries.push(`${decoder.totalIn}.${decoder.bits} ${decoder.totalOut}`);
      } else if (stop === "input" && at < file.length) {
        // The chunk is overwritten as soon as the decoder asks for the next.
        const chunk = file.slice(at, at + (sizes[turn++ % sizes.length] ?? 1));
        at += chunk.length;
        decoder.push(chunk);
      } else if (stop === "input") {
        decoder.endInput();
      }
    } catch (error) {
      if (!isKind(error, "data-loss")) throw error;
      expectNothingMore(decoder);
      return { whole: false, bytes: Buffer.concat(parts), boundaries };
    }
  }
}

/** A decoder that has refused its input goes on refusing it. */
function expectNothingMore(decoder: GzipDecoder): void {
  for (let again = 0; again < 3; again++) {
    expect(() => decoder.run(-1)).toThrow(expect.objectContaining({ kind: "data-loss" }));
    expect(decoder.output.length).toBe(0);
  }
}

const chunkSizes = fc.oneof(
  fc.constant([1 << 20]),
  fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 4 }),
  fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 4 }),
);

function expectOracle(file: Uint8Array, sizes: readonly number[]): void {
  const want = gunzipOracle(file);
  const [one, other] = ENGINES.map((engine) => decode(engine, file, sizes));
  expect(one?.boundaries).toEqual([...(other?.boundaries ?? [])]);
  for (const got of [one, other]) {
    expect(got?.whole).toBe(want !== undefined);
    if (want !== undefined) expect(got?.bytes.equals(want)).toBe(true);
  }
  expect(isPrefixOfOther(one?.bytes ?? Buffer.alloc(0), other?.bytes ?? Buffer.alloc(0))).toBe(
    true,
  );
}

fuzz(
  "GzipDecoder gives what zlib gives of damaged files, over both engines, or refuses them",
  { runs: 2000 },
  fc.record({ file: mutationsOf(GZIP_SAMPLES), sizes: chunkSizes }),
  ({ file, sizes }) => expectOracle(file, sizes),
);

const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.nat(3000).map((n) => "x".repeat(n)),
);
const fields = fc.record(
  {
    extra: fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc.nat(65_535).map((n) => new Uint8Array(n)),
    ),
    name: text.map((name) => name.replaceAll("\0", "")),
    comment: text.map((comment) => comment.replaceAll("\0", "")),
    headerCrc: fc.boolean(),
  },
  { requiredKeys: [] },
);
const member = fc
  .record({ fields, data: fc.uint8Array({ maxLength: 300 }), level: fc.constantFrom(0, 1, 9) })
  .map((sample) => gzipMember(sample.data, sample.fields, { level: sample.level }));
/** Flips one bit of the first bytes, where the headers are; 0 flips none. */
const headerFlip = fc.oneof(fc.constant(undefined), fc.record({ at: fc.nat(60), bit: fc.nat(7) }));

fuzz(
  "GzipDecoder reads or refuses members with every header field as zlib does",
  { runs: 800 },
  fc.record({
    members: fc.array(member, { minLength: 1, maxLength: 4 }),
    flip: headerFlip,
    sizes: chunkSizes,
  }),
  ({ members, flip, sizes }) => {
    const file = Buffer.concat(members);
    if (flip !== undefined && flip.at < file.length) {
      file[flip.at] = (file[flip.at] ?? 0) ^ (1 << flip.bit);
    }
    expectOracle(file, sizes);
  },
);
