import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { digestOf } from "../../src/oci/digest.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import { bytesOf, encodeZtoc, type EncodeZtocInput } from "../../src/ztoc/encode-ztoc.ts";
import { encodeTarZinfo } from "../../src/ztoc/tar-zinfo.ts";
import { anyFile, file, plain, tableOf } from "./files.ts";

function input(fields: Partial<EncodeZtocInput> = {}): EncodeZtocInput {
  const zinfo = encodeTarZinfo({ spanSize: 4096, size: 100 });
  return {
    compressedArchiveSize: 100,
    uncompressedArchiveSize: 100,
    files: tableOf([]),
    compressionAlgorithm: "uncompressed",
    maxSpanId: 0,
    spanDigests: [digestOf("x")],
    checkpoints: { size: zinfo.length, chunks: () => [zinfo] },
    ...fields,
  };
}

describe("encodeZtoc()", () => {
  test("gives the bytes of the reference's own test", () => {
    const empty = file({ type: "", modTime: "0001-01-01T00:00:00Z" });
    const encoded = encodeZtoc({
      version: "0.9",
      buildToolIdentifier: "AWS SOCI CLI",
      compressedArchiveSize: 2_000_000,
      uncompressedArchiveSize: 2_500_000,
      files: tableOf([empty, empty]),
      compressionAlgorithm: "gzip",
      maxSpanId: 3,
      spanDigests: [],
      checkpoints: { size: 65_536, chunks: () => [new Uint8Array(65_536)] },
    });
    expect([encoded.size, digestOf(bytesOf(encoded)) as string]).toEqual([
      65_928,
      "sha256:eba28fdf50b1b57543f57dd051b2468c1d4f57b64d2006c75aa4de1d03e6c7ec",
    ]);
  });

  test("writes any rows so that decodeZtoc() gives them back", () => {
    const ordered = fc.array(anyFile, { maxLength: 10 }).map((files) =>
      files.map((row, index) => ({
        ...row,
        uncompressedOffset: 10_240 * (index + 1),
        uncompressedSize: Math.abs(row.uncompressedSize % 10_240),
      })),
    );
    fc.assert(
      fc.property(ordered, (files) => {
        const ztoc = decodeZtoc(bytesOf(encodeZtoc(input({ files: tableOf(files) }))));
        expect(ztoc.files.map(plain)).toEqual(files.map(plain));
      }),
    );
  });

  test("takes a large blob of checkpoints without reading it", () => {
    const chunks = () => {
      throw new Error("read");
    };
    const encoded = encodeZtoc(input({ checkpoints: { size: 2 ** 31 - 4096, chunks } }));
    expect(encoded.size).toBeGreaterThan(2 ** 31 - 4096);
  });

  test("refuses what does not fit 2 GiB, and says what to do", () => {
    const checkpoints = { size: 2 ** 31 - 8, chunks: () => [] };
    expect(() => encodeZtoc(input({ checkpoints }))).toThrow(
      expect.objectContaining({
        kind: "unsupported",
        message: expect.stringContaining("2147483647"),
        hint: expect.stringContaining("span size"),
      }),
    );
  });
});
