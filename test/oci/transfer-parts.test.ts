import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { OCTET_STREAM } from "../../src/oci/media-types.ts";
import { readFirstPart } from "../../src/oci/multipart-range.ts";
import { uploadedBytes, withDigest } from "../../src/oci/upload-location.ts";
import { UploadSource } from "../../src/oci/upload-source.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { collect } from "../suite/image-source.ts";

describe("readFirstPart()", () => {
  const read = (text: string) => readFirstPart(new TextEncoder().encode(text));
  const headers = "Content-Type: a/b\r\nContent-Range: bytes 5-9/20";

  test.each([
    { title: "at once", before: "--b\r\n" },
    { title: "after a blank line", before: "\r\n--b\r\n" },
    { title: "after a preamble of lines", before: "hello\r\n\r\nworld\r\n--b\r\n" },
  ])("finds the first part $title", ({ before }) => {
    const text = `${before}${headers}\r\n\r\n`;
    expect(read(`${text}56789\r\n--b--`)).toEqual({
      range: { start: 5, end: 10, size: 20 },
      contentStart: text.length,
    });
  });

  test.each([
    { title: "nothing", text: "" },
    { title: "headers that do not end", text: `--b\r\n${headers}\r\n` },
    { title: "a part without a range", text: "--b\r\nContent-Type: a/b\r\n\r\nx" },
    {
      title: "a range that runs backwards",
      text: "--b\r\nContent-Range: bytes 9-5/20\r\n\r\nx",
    },
    {
      title: "headers that are too long",
      text: `--b\r\nx: ${"a".repeat(9000)}\r\n${headers}\r\n\r\n`,
    },
  ])("is undefined for $title", ({ text }) => {
    expect(read(text)).toBeUndefined();
  });

  test("ends on any bytes, with a place inside them or none", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat(60), (noise, cut) => {
        const text = Buffer.concat([
          Buffer.from(`--b\r\n${headers}\r\n\r\n`).subarray(0, cut),
          noise,
        ]);
        const part = readFirstPart(text);
        expect(part?.contentStart ?? 0).toBeLessThanOrEqual(text.length);
      }),
    );
  });
});

describe("uploadedBytes()", () => {
  test.each([
    { range: "0-99", want: 100 },
    { range: "bytes=0-99", want: 100 },
    { range: "0-0", want: 0 },
    { range: "5-99", want: undefined },
    { range: "0-", want: undefined },
    { range: "0-9999999999999999", want: undefined },
    { range: "", want: undefined },
  ])('reads "$range" as $want', ({ range, want }) => {
    expect(uploadedBytes(new Headers({ range }))).toBe(want);
  });

  test("is undefined without a Range header", () => {
    expect(uploadedBytes(new Headers())).toBeUndefined();
  });
});

describe("withDigest()", () => {
  const digest = digestOf("a");

  test.each([
    { title: "no query", url: "http://h/u", want: `?digest=${encodeURIComponent(digest)}` },
    {
      title: "a query that must stay as it is",
      url: "http://h/u?s=a%20b%2Bc&t",
      want: `?s=a%20b%2Bc&t&digest=${encodeURIComponent(digest)}`,
    },
  ])("adds to $title", ({ url, want }) => {
    expect(withDigest(new URL(url), digest).search).toBe(want);
  });
});

describe("UploadSource.slice()", () => {
  const bytes = sampleBytes(10_000, 2);
  const blob: Descriptor = {
    mediaType: OCTET_STREAM,
    digest: digestOf(bytes),
    size: bytes.length,
  };

  function* piecesOf(size: number): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) {
      yield bytes.subarray(at, at + size);
    }
  }

  test("gives any slices in any order, each whole", async () => {
    const offset = fc.integer({ min: 0, max: bytes.length });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3000 }),
        fc.array(fc.tuple(offset, offset), { maxLength: 8 }),
        async (pieceSize, pairs) => {
          await using source = new UploadSource(blob, () => piecesOf(pieceSize));
          for (const [one, other] of pairs) {
            const [start, end] = [Math.min(one, other), Math.max(one, other)];
            const got = await collect(source.slice(start, end));
            expect(got.equals(bytes.subarray(start, end))).toBe(true);
          }
        },
      ),
    );
  });

  test("gives nothing more to a slice that another has followed", async () => {
    await using source = new UploadSource(blob, () => piecesOf(100));
    const old = source.slice(0, 5000);
    await old.next();
    const got = await collect(source.slice(0, 5000));
    expect(got.equals(bytes.subarray(0, 5000))).toBe(true);
    expect((await old.next()).done).toBe(true);
  });

  test("refuses the last bytes of a blob of another digest", async () => {
    await using source = new UploadSource({ ...blob, digest: digestOf("other") }, () =>
      piecesOf(1000),
    );
    await collect(source.slice(0, 5000));
    await expect(collect(source.slice(5000, blob.size))).rejects.toMatchObject({
      kind: "data-loss",
    });
  });

  test("closes what it opened", async () => {
    let closed = 0;
    function* open(): Generator<Uint8Array> {
      try {
        yield* piecesOf(100);
      } finally {
        closed += 1;
      }
    }
    const source = new UploadSource(blob, open);
    await source.slice(0, 5000).next();
    await source[Symbol.asyncDispose]();
    expect(closed).toBe(1);
  });
});
