import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Builder } from "flatbuffers";
import { isKind } from "../../src/errors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { checkSpans } from "../../src/ztoc/check-spans.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import { bytesOf, encodeZtoc } from "../../src/ztoc/encode-ztoc.ts";
import type { FileMetadata } from "../../src/ztoc/file-metadata.ts";
import { encodeTarZinfo } from "../../src/ztoc/tar-zinfo.ts";
import { file, plain, tableOf } from "./files.ts";

const ZINFO = encodeTarZinfo({ spanSize: 4096, size: 4096 });

function encoded(files: readonly FileMetadata[]): Uint8Array {
  return bytesOf(
    encodeZtoc({
      compressedArchiveSize: 4096,
      uncompressedArchiveSize: 4096,
      files: tableOf(files),
      compressionAlgorithm: "uncompressed",
      maxSpanId: 0,
      spanDigests: [digestOf("x")],
      checkpoints: { size: ZINFO.length, chunks: () => [ZINFO] },
    }),
  );
}

const SAMPLE = encoded([
  file({ name: Buffer.from("a"), uncompressedOffset: 512, uncompressedSize: 5, mode: 0o644n }),
  file({
    name: Buffer.from("b"),
    type: "symlink",
    linkname: Buffer.from("a"),
    uncompressedOffset: 1536,
    xattrs: [{ key: Buffer.from("SCHILY.xattr.user.x"), value: Buffer.from("1") }],
  }),
]);

/** A zTOC written with Google's builder, for what our own does not write. */
function foreign({
  algorithm = 2,
  digest = digestOf("x") as string,
  checkpoints = ZINFO,
  files = 0,
  xattrs = 0,
  hasToc = true,
  hasInfo = true,
}): Uint8Array {
  const builder = new Builder();
  const vectorOf = (offset: number, count: number): number => {
    builder.startVector(4, count, 4);
    for (let left = count; left > 0; left--) {
      builder.addOffset(offset);
    }
    return builder.endVector();
  };
  builder.startObject(2);
  const xattr = builder.endObject();
  const xattrsAt = vectorOf(xattr, xattrs);
  const name = builder.createString("n".repeat(500));
  builder.startObject(14);
  builder.addFieldOffset(0, name, 0);
  builder.addFieldOffset(13, xattrsAt, 0);
  const row = builder.endObject();
  const metadata = vectorOf(row, files);
  builder.startObject(1);
  builder.addFieldOffset(0, metadata, 0);
  const toc = builder.endObject();
  const digests = vectorOf(builder.createString(digest), 1);
  const blob = builder.createByteVector(checkpoints);
  builder.startObject(4);
  builder.addFieldInt8(0, algorithm, 1);
  builder.addFieldOffset(2, digests, 0);
  builder.addFieldOffset(3, blob, 0);
  const info = builder.endObject();
  builder.startObject(6);
  builder.addFieldOffset(4, hasToc ? toc : 0, 0);
  builder.addFieldOffset(5, hasInfo ? info : 0, 0);
  builder.finish(builder.endObject());
  return builder.asUint8Array();
}

function outcome(bytes: Uint8Array): string {
  try {
    const ztoc = decodeZtoc(bytes);
    // Getters and spans must not throw either.
    return `${ztoc.files.map(plain).length >= 0 && checkSpans(ztoc) !== ""}`;
  } catch (error) {
    if (!isKind(error, "data-loss")) {
      throw error;
    }
    return "data-loss";
  }
}

describe("decodeZtoc()", () => {
  test("sorts rows by their offsets", () => {
    const offsets = [1536, 512, 2560].map((uncompressedOffset) => file({ uncompressedOffset }));
    const sorted = decodeZtoc(encoded(offsets)).files.map((row) => row.uncompressedOffset);
    expect(sorted).toEqual([512, 1536, 2560]);
  });

  test("takes a negative size of an entry without data", () => {
    const row = file({ type: "dir", uncompressedSize: -5, uncompressedOffset: 512 });
    expect(decodeZtoc(encoded([row])).files.map(plain)).toEqual([plain(row)]);
  });

  test("takes what Google's builder writes", () => {
    expect(decodeZtoc(foreign({}))).toMatchObject({ compressionAlgorithm: "uncompressed" });
  });

  test.each([
    { title: "data that reaches into the next file", sizes: [1025, 0] },
    { title: "a negative size of a file", sizes: [-1, 0] },
  ])("refuses $title", ({ sizes }) => {
    const files = sizes.map((uncompressedSize, index) =>
      file({ uncompressedSize, uncompressedOffset: 512 + 1024 * index }),
    );
    expect(outcome(encoded(files))).toBe("data-loss");
  });

  test.each([
    { title: "no bytes", bytes: new Uint8Array(0) },
    { title: "an unknown algorithm", bytes: foreign({ algorithm: 3 }) },
    { title: "algorithm 0", bytes: foreign({ algorithm: 0 }) },
    { title: "no TOC", bytes: foreign({ hasToc: false }) },
    { title: "no compression info", bytes: foreign({ hasInfo: false }) },
    { title: "a digest that is none", bytes: foreign({ digest: "sha256:xyz" }) },
    { title: "a zinfo that is none", bytes: foreign({ checkpoints: new Uint8Array(3) }) },
  ])("refuses $title", ({ bytes }) => {
    expect(outcome(bytes)).toBe("data-loss");
  });

  test.each([
    { title: "rows that are all one row", files: 20_000, xattrs: 0 },
    { title: "rows that share their xattrs", files: 1000, xattrs: 1000 },
  ])("refuses $title: small bytes that hold too much", ({ files, xattrs }) => {
    expect(() => decodeZtoc(foreign({ files, xattrs }))).toThrow(/overlap/);
  });

  test("refuses a vector of more elements than there are bytes, before it makes room", () => {
    const bytes = SAMPLE.slice();
    const at = Buffer.from(bytes).indexOf(Buffer.from("\x47\0\0\0sha256:", "latin1"));
    new DataView(bytes.buffer).setUint32(at, 0x7fff_ffff, true);
    expect(outcome(bytes)).toBe("data-loss");
  });

  test("refuses a zTOC that is cut at any byte before its last", () => {
    const outcomes = Array.from({ length: SAMPLE.length - 8 }, (_, length) =>
      outcome(SAMPLE.subarray(0, length)),
    );
    expect(new Set(outcomes)).toEqual(new Set(["data-loss"]));
  });

  test("reads or refuses a zTOC with any bytes changed", () => {
    const change = fc.tuple(fc.nat(SAMPLE.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = SAMPLE.slice();
        for (const [at, value] of changes) {
          bytes[at] = value;
        }
        expect(["true", "data-loss"]).toContain(outcome(bytes));
      }),
      { numRuns: 5000 },
    );
  });

  test("reads or refuses any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(["true", "data-loss"]).toContain(outcome(bytes));
      }),
    );
  });
});
