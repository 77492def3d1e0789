import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeZtoc } from "../../src/ztoc/encode-ztoc.ts";
import { FileTable } from "../../src/ztoc/file-table.ts";
import { anyFile, file, plain, tableOf } from "./files.ts";

describe("FileTable", () => {
  test("gives any rows back, in any order", () => {
    fc.assert(
      fc.property(fc.array(anyFile), (files) => {
        const table = tableOf(files);
        const last = files.length - 1;
        const backwards = files.map((_, index) => plain(table.at(last - index)));
        expect(backwards.toReversed()).toEqual(files.map(plain));
      }),
    );
  });

  test("holds rows longer than its segments", () => {
    const long = new Uint8Array(3_000_000).fill(7);
    const names = [Uint8Array.of(1), long, Uint8Array.of(2), long.slice(0, 1_048_576)];
    const table = tableOf(names.map((name) => file({ name })));
    expect(names.map((_, index) => table.at(index).name.length)).toEqual([
      1, 3_000_000, 1, 1_048_576,
    ]);
  });

  test("finds rows beyond one segment and one page of its index", () => {
    const table = new FileTable();
    for (let index = 0; index < 40_000; index++) {
      table.append(file({ name: new Uint8Array(60), uncompressedOffset: index * 512 }));
    }
    const offsets = [0, 16_383, 16_384, 39_999].map(
      (row) => table.at(row).uncompressedOffset / 512,
    );
    expect([table.length, ...offsets]).toEqual([40_000, 0, 16_383, 16_384, 39_999]);
  });

  test("keeps nothing of what was appended", () => {
    const name = Uint8Array.of(1, 2, 3);
    const table = tableOf([file({ name })]);
    name.fill(9);
    expect(table.at(0).name).toEqual(Uint8Array.of(1, 2, 3));
  });

  test("refuses rows that make a zTOC too large before they take the memory", () => {
    const table = new FileTable({ maxBytes: 88_000 });
    const append = () => {
      for (let row = 0; row < 1002; row++) table.append(file());
    };
    expect(append).toThrow(expect.objectContaining({ kind: "unsupported" }));
    expect(table.length).toBe(1001);
  });

  test("takes every table that fits a zTOC", () => {
    const encoded = (files: FileTable): number =>
      encodeZtoc({
        compressedArchiveSize: 0,
        uncompressedArchiveSize: 0,
        files,
        compressionAlgorithm: "gzip",
        maxSpanId: 0,
        spanDigests: [],
        checkpoints: { size: 0, chunks: () => [] },
      }).size;
    const rows = Array.from({ length: 5000 }, () => file());
    const size = encoded(tableOf(rows));
    const table = new FileTable({ maxBytes: size });
    for (const row of rows) table.append(row);
    expect(encoded(table)).toBe(size);
  });

  test.each([-1, 1, 16_384, 0.5, Number.NaN])("refuses row %p of one row", (row) => {
    expect(() => tableOf([file()]).at(row)).toThrow(RangeError);
  });
});
