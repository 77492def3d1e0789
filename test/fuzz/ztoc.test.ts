import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { checkSpans } from "../../src/ztoc/check-spans.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import { GzipZinfo } from "../../src/ztoc/gzip-zinfo.ts";
import { extractSpan } from "../../src/ztoc/span-extractor.ts";
import { TarZinfo } from "../../src/ztoc/tar-zinfo.ts";
import type { ArchiveSizes, Zinfo } from "../../src/ztoc/zinfo.ts";
import type { Ztoc } from "../../src/ztoc/ztoc.ts";
import { plain } from "../ztoc/files.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { outcomeOf, acceptedBy } from "./outcome.ts";
import { peakMemory } from "./peak-memory.ts";
import { TABLE_SAMPLE, ZTOC_SAMPLES, type ZtocSample } from "./ztoc-samples.ts";

const ENGINES = [new WasmEngine(), new PakoEngine()];

/** Reads all that a zTOC says; fails when anything but its decoder throws. */
function readAll(ztoc: Ztoc): void {
  let end = 0;
  for (const row of ztoc.files) {
    const { uncompressedOffset, uncompressedSize } = plain(row);
    expect(uncompressedOffset).toBeGreaterThanOrEqual(end);
    end = uncompressedOffset;
    expect(Number.isSafeInteger(uncompressedSize)).toBe(true);
  }
  outcomeOf(() => buildLayerTree(ztoc.files));
  const fault = checkSpans(ztoc);
  if (fault === undefined) expectSoundSpans(ztoc);
}

/** What checkSpans() promises of the zTOCs that it lets pass. */
function expectSoundSpans(ztoc: Ztoc): void {
  expect(ztoc.spanDigests.length).toBe(ztoc.maxSpanId + 1);
  let compressed = 0;
  for (let span = 0; span <= ztoc.maxSpanId; span++) {
    const range = ztoc.zinfo.rangeOf(span, ztoc);
    expect(range.compressedStart).toBeGreaterThanOrEqual(Math.max(0, compressed - 1));
    expect(range.compressedEnd).toBeLessThanOrEqual(ztoc.compressedArchiveSize);
    compressed = range.compressedEnd;
    expect(ztoc.zinfo.spanOf(range.uncompressedStart)).toBe(span);
  }
  expect(compressed).toBe(ztoc.compressedArchiveSize);
}

const damagedZtoc = mutationsOf([TABLE_SAMPLE, ...ZTOC_SAMPLES.map(({ ztoc }) => ztoc)]);

fuzz(
  "decodeZtoc() and checkSpans() read or refuse damaged zTOCs",
  { runs: 1500 },
  damagedZtoc,
  (bytes) => {
    const ztoc = acceptedBy(outcomeOf(() => decodeZtoc(bytes)));
    if (ztoc !== undefined) readAll(ztoc);
  },
);

fuzz(
  "decodeZtoc() and checkSpans() read or refuse zTOCs with a damaged file table",
  { runs: 8000 },
  mutationsOf([TABLE_SAMPLE], 3),
  (bytes) => {
    const ztoc = acceptedBy(outcomeOf(() => decodeZtoc(bytes)));
    if (ztoc !== undefined) readAll(ztoc);
  },
);

const sizes = fc.record({
  compressedArchiveSize: fc.oneof(fc.nat(200_000), fc.maxSafeNat()),
  uncompressedArchiveSize: fc.oneof(fc.nat(200_000), fc.maxSafeNat()),
});

/** A zinfo's geometry: every span has a range, and offsets are found in the spans that hold them. */
function expectGeometry(zinfo: Zinfo, archive: ArchiveSizes, offset: number): void {
  const last = Math.min(zinfo.maxSpanId, 50);
  for (let span = 0; span <= last; span++) {
    const range = zinfo.rangeOf(span, archive);
    expect(Object.values(range).every(Number.isSafeInteger)).toBe(true);
  }
  for (const span of [-1, zinfo.maxSpanId + 1, 0.5, Number.NaN]) {
    expect(() => zinfo.rangeOf(span, archive)).toThrow(
      expect.objectContaining({ kind: "invalid-argument" }),
    );
  }
  if (zinfo.maxSpanId >= 0 && zinfo.spanSize >= 1) {
    expect(zinfo.spanOf(offset)).toBeGreaterThanOrEqual(0);
  }
}

const GZIP_ZINFOS = ZTOC_SAMPLES.slice(1).map(({ ztoc }) => decodeZtoc(ztoc).zinfo.bytes);
const TAR_ZINFOS = ZTOC_SAMPLES.slice(0, 1).map(({ ztoc }) => decodeZtoc(ztoc).zinfo.bytes);
/** Of any size near what the count of checkpoints says, which windows of zeros fill up. */
const gzipZinfo = fc
  .record({
    head: fc.uint8Array({ minLength: 12, maxLength: 12 }),
    count: fc.oneof(
      fc.integer({ min: -1, max: 4 }),
      fc.constantFrom(131_072, 2 ** 31 - 1, -(2 ** 31)),
    ),
    points: fc.nat(3),
    heads: fc.array(fc.uint8Array({ minLength: 17, maxLength: 17 }), {
      minLength: 3,
      maxLength: 3,
    }),
    surplus: fc.constantFrom(0, 0, 0, 0, 1, -1),
  })
  .map(({ head, count, points, heads, surplus }) => {
    const bytes = new Uint8Array(12 + 32_785 * points);
    bytes.set(head);
    new DataView(bytes.buffer).setInt32(0, count, true);
    for (let i = 0; i < points; i++) bytes.set(heads[i] ?? [], 12 + 32_785 * i);
    return surplus === 1
      ? Buffer.concat([bytes, Buffer.alloc(1)])
      : bytes.subarray(0, bytes.length + surplus);
  });

fuzz(
  "GzipZinfo reads or refuses damaged checkpoints",
  { runs: 800 },
  fc.record({
    bytes: fc.oneof(mutationsOf(GZIP_ZINFOS), gzipZinfo),
    archive: sizes,
    offset: fc.maxSafeNat(),
  }),
  ({ bytes, archive, offset }) => {
    const zinfo = acceptedBy(outcomeOf(() => new GzipZinfo(bytes)));
    if (zinfo === undefined) return;
    expectGeometry(zinfo, archive, offset);
    for (let span = 0; span <= zinfo.maxSpanId; span++) {
      const { bits, window } = zinfo.checkpointAt(span);
      expect(bits).toBeLessThan(8);
      expect(window.length).toBe(32_768);
    }
  },
);

fuzz(
  "TarZinfo reads or refuses damaged bytes",
  { runs: 2000 },
  fc.record({ bytes: mutationsOf(TAR_ZINFOS), archive: sizes, offset: fc.maxSafeNat() }),
  ({ bytes, archive, offset }) => {
    const zinfo = acceptedBy(outcomeOf(() => new TarZinfo(bytes)));
    if (zinfo !== undefined) expectGeometry(zinfo, archive, offset);
  },
);

interface SpanRead {
  readonly bytes: number;
  readonly whole: boolean;
}

/** Reads a span; counts what comes before it ends or is refused. */
function readSpan(ztoc: Ztoc, span: number, compressed: Uint8Array, engine: number): SpanRead {
  let bytes = 0;
  const outcome = outcomeOf(() => {
    for (const chunk of extractSpan(ztoc, span, compressed, ENGINES[engine] ?? new WasmEngine())) {
      bytes += chunk.length;
    }
  });
  return { bytes, whole: "value" in outcome };
}

fuzz(
  "extractSpan() gives no byte of a span whose compressed bytes are wrong",
  { runs: 800 },
  fc.record({
    sample: fc.nat(ZTOC_SAMPLES.length - 1),
    engine: fc.nat(1),
    at: fc.nat(2 ** 20),
    flip: fc.nat(255),
    grow: fc.constantFrom(0, 0, 0, -1, 1),
  }),
  ({ sample, engine, at, flip, grow }) => {
    const { layer, ztoc: bytes } = sampleAt(sample);
    const ztoc = decodeZtoc(bytes);
    const span = at % (ztoc.maxSpanId + 1);
    const { compressedStart: start, compressedEnd: end } = ztoc.zinfo.rangeOf(span, ztoc);
    const wrong = new Uint8Array(end - start + grow);
    wrong.set(layer.subarray(start, Math.min(end, end + grow)));
    wrong[at % wrong.length] = (wrong[at % wrong.length] ?? 0) ^ flip;
    const isRight = flip === 0 && grow === 0;
    const read = readSpan(ztoc, span, wrong, engine);
    expect(isRight ? read.whole : read).toEqual(isRight ? true : { bytes: 0, whole: false });
  },
);

function sampleAt(index: number): ZtocSample {
  const sample = ZTOC_SAMPLES[index];
  if (sample === undefined) throw new RangeError(`no sample ${index}`);
  return sample;
}

fuzz(
  "extractSpan() gives whole spans or throws data-loss, whatever checkpoints and sizes say",
  { runs: 600 },
  fc.record({
    sample: fc.nat(ZTOC_SAMPLES.length - 1),
    engine: fc.nat(1),
    zinfo: fc.array(fc.record({ at: fc.nat(200_000), value: fc.nat(255) }), { maxLength: 3 }),
    archive: sizes,
    keep: fc.boolean(),
  }),
  ({ sample, engine, zinfo: changes, archive, keep }) => {
    const { layer, ztoc: bytes } = sampleAt(sample);
    const sound = decodeZtoc(bytes);
    const blob = sound.zinfo.bytes.slice();
    for (const { at, value } of changes) {
      // Mostly in the numbers before the windows.
      const point = at % (sound.maxSpanId + 1);
      const place = at % 3 === 0 ? at % blob.length : 12 + 32_785 * point + (at % 17);
      if (place < blob.length) blob[place] = value;
    }
    const isGzip = sound.compressionAlgorithm === "gzip";
    const zinfo = acceptedBy(outcomeOf(() => (isGzip ? new GzipZinfo(blob) : new TarZinfo(blob))));
    if (zinfo === undefined) return;
    const ztoc: Ztoc = { ...sound, ...(keep ? {} : archive), zinfo };
    for (let span = 0; span <= Math.min(20, zinfo.maxSpanId); span++) {
      const range = zinfo.rangeOf(span, ztoc);
      const { compressedStart: start, compressedEnd: end } = range;
      if (start < 0 || end < start || end > layer.length) continue;
      const compressed = layer.subarray(start, end);
      // As if the digests had been made for these spans: the checkpoints alone are wrong.
      const spanDigests = Array.from({ length: span + 1 }, () => digestOf(compressed));
      const read = readSpan({ ...ztoc, spanDigests }, span, compressed, engine);
      const want = Math.max(0, range.uncompressedEnd - range.uncompressedStart);
      expect(read.bytes).toBeLessThanOrEqual(want);
      expect(read.whole ? read.bytes : want).toBe(want);
    }
  },
);

describe("decodeZtoc()", () => {
  // 16 MiB each, whose objects are shared as often as is let pass.
  test.each([{ input: "shared-rows" }, { input: "shared-xattrs" }, { input: "shared-digests" }])(
    "takes no more memory than a small multiple of a zTOC with $input",
    async ({ input }) => {
      const idle = await peakMemory("ztoc", "nothing");
      expect((await peakMemory("ztoc", input)) - idle).toBeLessThan(400 << 20);
    },
    60_000,
  );
});
