import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { SociError } from "../../src/errors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { checkSpans } from "../../src/ztoc/check-spans.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import { bytesOf } from "../../src/ztoc/encode-ztoc.ts";
import { fileMetadataOf } from "../../src/ztoc/file-metadata-of.ts";
import type { FileMetadata } from "../../src/ztoc/file-metadata.ts";
import { GzipZinfo } from "../../src/ztoc/gzip-zinfo.ts";
import { extractSpan } from "../../src/ztoc/span-extractor.ts";
import type { BuiltZtoc } from "../../src/ztoc/ztoc-builder.ts";
import { scan } from "../tar/scan.ts";
import { build } from "../ztoc/build.ts";
import { plain } from "../ztoc/files.ts";
import { fuzz } from "./fuzz.ts";
import { gunzipOracle } from "./gunzip-oracle.ts";
import { gzipMember } from "./gzip-samples.ts";
import { mutationsOf } from "./mutations.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { peakMemory } from "./peak-memory.ts";
import { TAR_SAMPLES } from "./tar-samples.ts";
import { ZTOC_SAMPLES } from "./ztoc-samples.ts";

const ENGINES = [new WasmEngine(), new PakoEngine()];
const READER = new WasmEngine();
const EMPTY = gzipSync(new Uint8Array(0));

const LAYERS: readonly Uint8Array[] = [
  ...TAR_SAMPLES.map((tar, i) => gzipSync(tar, { level: [0, 1, 6, 9][i % 4] ?? 6, memLevel: 1 })),
  ...ZTOC_SAMPLES.slice(1).map(({ layer }) => layer),
  ...TAR_SAMPLES.slice(0, 2).map((tar) =>
    Buffer.concat([
      gzipMember(tar.subarray(0, 1500), { name: "a", headerCrc: true }),
      EMPTY,
      gzipMember(tar.subarray(1500), { comment: "b", extra: new Uint8Array(9) }),
    ]),
  ),
];

/** What a zTOC must say of an uncompressed tar, or why there is none. */
function tocOracle(tar: Uint8Array): Outcome<readonly FileMetadata[]> {
  return outcomeOf(() => scan(tar).entries.map(fileMetadataOf), ["data-loss", "unsupported"]);
}

interface Expected {
  readonly layer: Uint8Array;
  readonly tar: Uint8Array;
  readonly files: readonly FileMetadata[];
}

function expectRight(built: BuiltZtoc, { layer, tar, files }: Expected): void {
  const ztoc = decodeIfUsable(built);
  if (ztoc === undefined) return;
  expect(ztoc.compressedArchiveSize).toBe(layer.length);
  expect(ztoc.files.map(plain)).toEqual(files.map(plain));
  expect(ztoc.zinfo instanceof GzipZinfo).toBe(true);
  for (let span = 0; span <= ztoc.maxSpanId; span++) {
    const range = ztoc.zinfo.rangeOf(span, ztoc);
    const compressed = layer.subarray(range.compressedStart, range.compressedEnd);
    expect(ztoc.spanDigests[span]).toBe(digestOf(compressed));
    const parts = Array.from(extractSpan(ztoc, span, compressed, READER), (part) => part.slice());
    const want = tar.subarray(range.uncompressedStart, range.uncompressedEnd);
    expect(Buffer.concat(parts).equals(want)).toBe(true);
  }
}

function decodeIfUsable(built: BuiltZtoc): ReturnType<typeof decodeZtoc> | undefined {
  const decoded = outcomeOf(() => decodeZtoc(bytesOf(built.encoded)));
  const fault = "value" in decoded ? checkSpans(decoded.value) : "refused";
  // The builder says beforehand what every reader will find.
  expect(built.unusable === undefined).toBe(fault === undefined);
  return "value" in decoded && fault === undefined ? decoded.value : undefined;
}

const layerFuzz = fc.record({
  layer: mutationsOf(LAYERS, 4),
  engine: fc.nat(1),
  spanSize: fc.constantFrom(0, 1, 500, 4096, 20_000, 4 << 20),
  pieces: fc.oneof(
    fc.constant([1 << 20]),
    fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 5 }),
  ),
});

fuzz(
  "ZtocBuilder makes the zTOC of what zlib and the tar scanner find in a layer, or refuses it",
  { runs: 2000 },
  layerFuzz,
  ({ layer, engine: which, spanSize, pieces }) => {
    const engine = ENGINES[which] ?? new WasmEngine();
    const gunzipped = gunzipOracle(layer);
    const tar = gunzipped === undefined ? undefined : new Uint8Array(gunzipped);
    const toc = tar === undefined ? undefined : tocOracle(tar);
    let goRefuses = false;
    const built = outcomeOf(() => {
      try {
        return build(layer, { engine, spanSize, pieces });
      } catch (error) {
        // Headers that zlib takes and Go does not: the oracle is zlib.
        goRefuses = error instanceof SociError && error.message.includes("Go's compress/gzip");
        throw error;
      }
    }, ["data-loss", "unsupported"]);
    if (goRefuses) return;
    const files = toc !== undefined && "value" in toc ? toc.value : undefined;
    expect("value" in built).toBe(files !== undefined);
    if ("value" in built && tar !== undefined && files !== undefined) {
      expectRight(built.value, { layer, tar, files });
    }
  },
);

fuzz(
  "ZtocBuilder makes the zTOC of a damaged plain tar as the tar scanner sees it, or refuses it",
  { runs: 600 },
  fc.record({
    tar: mutationsOf(TAR_SAMPLES, 4),
    spanSize: fc.integer({ min: 100, max: 9000 }),
    pieces: fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 5 }),
  }),
  ({ tar, spanSize, pieces }) => {
    const engine = new PakoEngine();
    const options = { engine, spanSize, pieces, algorithm: "uncompressed" } as const;
    const built = outcomeOf(() => build(tar, options), ["data-loss", "unsupported"]);
    const toc = tocOracle(tar);
    expect("value" in built).toBe("value" in toc);
    if (!("value" in built)) return;
    const ztoc = decodeIfUsable(built.value);
    if (ztoc === undefined || !("value" in toc)) return;
    expect(ztoc.files.map(plain)).toEqual(toc.value.map(plain));
    expect(ztoc.spanDigests).toEqual(
      Array.from({ length: Math.ceil(tar.length / spanSize) }, (_, span) =>
        digestOf(tar.subarray(span * spanSize, (span + 1) * spanSize)),
      ),
    );
  },
);

describe("ZtocBuilder", () => {
  test("refuses a layer whose empty members would make thousands of checkpoints", () => {
    const layer = Buffer.concat([
      ...new Array<Buffer>(1100).fill(EMPTY),
      gzipSync(Buffer.alloc(1024)),
    ]);
    const built = outcomeOf(() => build(layer, { engine: new WasmEngine() }), ["unsupported"]);
    expect(built).toEqual({ refused: "unsupported" });
  });

  test.each([
    { input: "empty-members" },
    { input: "empty-blocks" },
    { input: "bomb" },
    { input: "many-files" },
  ])(
    "takes no more memory than the zTOC has, and fixed buffers, with $input",
    async ({ input }) => {
      const idle = await peakMemory("builder", "nothing");
      expect((await peakMemory("builder", input)) - idle).toBeLessThan(200 << 20);
    },
    60_000,
  );
});
