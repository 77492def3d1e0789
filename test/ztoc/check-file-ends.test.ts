import { describe, expect, test } from "bun:test";
import { checkFileEnds } from "../../src/ztoc/check-file-ends.ts";
import type { FileMetadata } from "../../src/ztoc/file-metadata.ts";
import { encodeTarZinfo, TarZinfo } from "../../src/ztoc/tar-zinfo.ts";
import type { Ztoc } from "../../src/ztoc/ztoc.ts";

const NONE = new Uint8Array(0);

function file(fields: Partial<FileMetadata>): FileMetadata {
  const names = { name: Buffer.from("f"), linkname: NONE, uname: NONE, gname: NONE };
  const numbers = { mode: 0n, uid: 0, gid: 0, devmajor: 0n, devminor: 0n };
  const place = { uncompressedOffset: 512, uncompressedSize: 100 };
  return { type: "reg", modTime: "", xattrs: [], ...names, ...numbers, ...place, ...fields };
}

function ztoc(files: readonly FileMetadata[]): Ztoc {
  return {
    version: "0.9",
    buildToolIdentifier: "",
    compressedArchiveSize: 2048,
    uncompressedArchiveSize: 2048,
    compressionAlgorithm: "uncompressed",
    maxSpanId: 0,
    spanDigests: [],
    zinfo: new TarZinfo(encodeTarZinfo({ spanSize: 512, size: 2048 })),
    files,
  };
}

describe("checkFileEnds()", () => {
  test.each([
    { title: "no files", files: [] },
    { title: "a file that ends with the tar", files: [file({ uncompressedSize: 1536 })] },
    {
      title: "a last directory of some size",
      files: [file({}), file({ type: "dir", uncompressedOffset: 1536, uncompressedSize: 9999 })],
    },
    {
      title: "an empty file behind the tar's end",
      files: [file({ uncompressedOffset: 2048, uncompressedSize: 0 })],
    },
  ])("takes $title", ({ files }) => {
    expect(checkFileEnds(ztoc(files))).toBeUndefined();
  });

  test.each([
    { title: "a byte beyond", files: [file({ uncompressedSize: 1537 })], end: 2049 },
    { title: "all of it beyond", files: [file({}), file({ uncompressedOffset: 4096 })], end: 4196 },
    {
      title: "others of no size behind it",
      files: [
        file({ uncompressedSize: 4096 }),
        file({ type: "dir", uncompressedOffset: 5120, uncompressedSize: 0 }),
      ],
      end: 4608,
    },
  ])("refuses a file with $title", ({ files, end }) => {
    expect(checkFileEnds(ztoc(files))).toContain(`ends at byte ${end}`);
  });
});
