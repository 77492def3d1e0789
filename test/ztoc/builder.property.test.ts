import { beforeAll, describe, expect, test } from "bun:test";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { isKind } from "../../src/errors.ts";
import { buildTar } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { build, buildBytes } from "./build.ts";

const ENGINES = [new WasmEngine(), new PakoEngine()].map((engine) => ({
  engine,
  title: engine.name,
}));

let tar = new Uint8Array(0);
/** Two members with many deflate blocks each. */
let layer = new Uint8Array(0);

beforeAll(async () => {
  tar = new Uint8Array(
    await buildTar([
      { name: "etc/", type: "directory" },
      { name: "etc/motd", content: sampleBytes(20_000) },
      { name: "a-long-name/".repeat(20), content: sampleBytes(700, 2) },
      { name: "link", type: "symlink", linkname: "etc/motd" },
      { name: "big", content: sampleBytes(90_000, 3) },
    ]),
  );
  const half = Math.floor(tar.length / 2);
  const members = [tar.subarray(0, half), tar.subarray(half)];
  layer = new Uint8Array(Buffer.concat(members.map((part) => gzipSync(part, { memLevel: 2 }))));
});

describe.each(ENGINES)("ZtocBuilder with $title", ({ engine }) => {
  test("gives the same zTOC however the layer is cut into pieces", () => {
    const want = Buffer.from(buildBytes(layer, { engine, pieces: [layer.length] }));
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 50_000 })), {
          minLength: 1,
          maxLength: 20,
        }),
        (pieces) => want.equals(buildBytes(layer, { engine, pieces })),
      ),
      { numRuns: 40 },
    );
  });

  test("gives the same zTOC of a plain tar however it is cut into pieces", () => {
    const options = { engine, algorithm: "uncompressed" } as const;
    const want = Buffer.from(buildBytes(tar, { ...options, pieces: [tar.length] }));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1 }), (pieces) =>
        want.equals(buildBytes(tar, { ...options, pieces })),
      ),
      { numRuns: 40 },
    );
  });

  test("refuses a gzip layer that is cut short anywhere", () => {
    fc.assert(
      fc.property(fc.nat(layer.length - 1), (length) => {
        // Between its members a gzip file is whole; then it is the tar that is cut short.
        expect(outcome(() => build(layer.subarray(0, length), { engine }))).toBe("data-loss");
      }),
      { numRuns: 150 },
    );
  });

  test("builds no zTOC of damaged gzip data", () => {
    fc.assert(
      fc.property(fc.nat(layer.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = layer.slice();
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        // What a header says of time and system may change: then the data is what it was.
        const isBuilt = outcome(() => build(damaged, { engine })) === "built";
        expect(isBuilt && !gunzipSync(damaged).equals(tar)).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test("ends with a zTOC or a refusal for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), (bytes, isGzip) => {
        const algorithm = isGzip ? "gzip" : "uncompressed";
        const packed = isGzip ? gzipSync(bytes) : bytes;
        expect(["built", "data-loss", "unsupported"]).toContain(
          outcome(() => build(packed, { engine, algorithm })),
        );
      }),
      { numRuns: 200 },
    );
  });
});

function outcome(run: () => unknown): string {
  try {
    run();
    return "built";
  } catch (error) {
    return isKind(error, "data-loss", "unsupported", "invalid-argument") ? error.kind : "a bug";
  }
}
