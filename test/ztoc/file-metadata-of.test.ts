import { describe, expect, test } from "bun:test";
import type { TarEntry } from "../../src/tar/tar-entry.ts";
import { fileMetadataOf, rfc3339Of } from "../../src/ztoc/file-metadata-of.ts";

const NONE = new Uint8Array(0);

function entry(fields: Partial<TarEntry>): TarEntry {
  return {
    name: Buffer.from("a\n"),
    typeflag: 0x30,
    linkname: NONE,
    size: 0,
    mode: 0n,
    uid: 0n,
    gid: 0n,
    uname: NONE,
    gname: NONE,
    mtime: { seconds: 0n, nanoseconds: 0 },
    devmajor: 0n,
    devminor: 0n,
    pax: [],
    sparse: false,
    headerStart: 1536,
    dataStart: 2048,
    storedSize: 0,
    ...fields,
  };
}

describe("fileMetadataOf()", () => {
  test.each([
    { typeflag: 0x30, type: "reg" },
    { typeflag: 0x31, type: "hardlink" },
    { typeflag: 0x32, type: "symlink" },
    { typeflag: 0x33, type: "char" },
    { typeflag: 0x34, type: "block" },
    { typeflag: 0x35, type: "dir" },
    { typeflag: 0x36, type: "fifo" },
  ])("calls type $typeflag $type", ({ typeflag, type }) => {
    expect(fileMetadataOf(entry({ typeflag })).type).toBe(type);
  });

  test.each([
    { typeflag: 0x67, text: "'g'" },
    { typeflag: 0x53, text: "'S'" },
    { typeflag: 0x37, text: "'7'" },
    { typeflag: 0xff, text: "0xff" },
    { typeflag: 0x0a, text: "0x0a" },
  ])("refuses type $text and names the entry", ({ typeflag, text }) => {
    const failing = () => fileMetadataOf(entry({ typeflag }));
    expect(failing).toThrow(expect.objectContaining({ kind: "unsupported" }));
    expect(failing).toThrow(`"a\\n" at byte 1536 into a zTOC: type is ${text}`);
  });

  test("casts owners to 32 bits", () => {
    expect(fileMetadataOf(entry({ uid: -1n, gid: 2n ** 32n + 5n }))).toMatchObject({
      uid: 0xffff_ffff,
      gid: 5,
    });
  });

  test("takes all pax records for xattrs, and the place of the data for the offset", () => {
    const pax = [{ key: Buffer.from("mtime"), value: Buffer.from("1.5") }];
    expect(fileMetadataOf(entry({ pax, size: 7 }))).toMatchObject({
      xattrs: pax,
      uncompressedOffset: 2048,
      uncompressedSize: 7,
    });
  });
});

describe("rfc3339Of()", () => {
  test.each([
    { seconds: 0n, nanoseconds: 0, text: "1970-01-01T00:00:00Z" },
    { seconds: 1_600_000_000n, nanoseconds: 500_000_000, text: "2020-09-13T12:26:40.5Z" },
    { seconds: -1n, nanoseconds: 1, text: "1969-12-31T23:59:59.000000001Z" },
    { seconds: -62_135_596_800n, nanoseconds: 0, text: "0001-01-01T00:00:00Z" },
    { seconds: -62_167_219_200n, nanoseconds: 0, text: "0000-01-01T00:00:00Z" },
    { seconds: -62_167_219_201n, nanoseconds: 0, text: "" },
    { seconds: 253_402_300_799n, nanoseconds: 999_999_999, text: "9999-12-31T23:59:59.999999999Z" },
    { seconds: 253_402_300_800n, nanoseconds: 0, text: "" },
    { seconds: 2n ** 63n - 1n, nanoseconds: 0, text: "" },
  ])("prints $seconds s $nanoseconds ns as $text", ({ seconds, nanoseconds, text }) => {
    expect(rfc3339Of({ seconds, nanoseconds })).toBe(text);
  });
});
