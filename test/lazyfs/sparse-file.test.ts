import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FileReads, type FileTarget } from "../../src/lazyfs/read-file.ts";
import { seekFile } from "../../src/lazyfs/sparse-seek.ts";
import { encodeLayerTable } from "../../src/tree/encode-layer-table.ts";
import type { Extent } from "../../src/tree/extent.ts";
import { LayerTable } from "../../src/tree/layer-table.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { file, toc } from "../tree/toc-entries.ts";

const TAR_START = 1000;
const SLACK = 64;

/** Lengths of hole, data, hole, … and so on: some of them nothing. */
const lengths = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 14 });

function extentsOf(parts: readonly number[]): { extents: Extent[]; size: number } {
  let size = 0;
  const extents: Extent[] = [];
  for (const [i, length] of parts.entries()) {
    if (i % 2 === 1) extents.push({ offset: size, length });
    size += length;
  }
  return { extents, size };
}

/** The file as it is: a number that is no 0 for each byte of data. */
function contentOf({ extents, size }: ReturnType<typeof extentsOf>): Uint8Array {
  const content = new Uint8Array(size);
  let tar = TAR_START;
  for (const { offset, length } of extents) {
    for (let i = 0; i < length; i++) content[offset + i] = byteAt(tar++);
  }
  return content;
}

const byteAt = (tarOffset: number): number => 1 + (tarOffset % 251);

function tableOf({ extents, size }: ReturnType<typeof extentsOf>): LayerTable {
  const entry = file("sparse", { uncompressedOffset: TAR_START, uncompressedSize: size });
  const sparse = new Map([[0, extents]]);
  return LayerTable.open(encodeLayerTable(buildLayerTree(toc([entry])), { sparse }));
}

describe("a sparse file", () => {
  test("FileReads.read() gives what the file is, by one read of the tar", () => {
    fc.assert(
      fc.property(lengths, fc.nat(80), fc.nat(80), (parts, offset, size) => {
        const sparse = extentsOf(parts);
        const target: FileTarget = {
          bytes: new Uint8Array(300).fill(0xee),
          slack: SLACK,
          start: 0,
          end: 0,
        };
        let asked = 0;
        const count = new FileReads(tableOf(sparse)).read(
          { entry: 0, offset, size },
          {
            read(start, end, bytes, at) {
              asked++;
              bytes.fill(0xee);
              for (let i = start; i < end; i++) bytes[at + i - start] = byteAt(i);
              return end - start;
            },
          },
          target,
        );
        const want = contentOf(sparse).subarray(offset, offset + size);
        expect(count).toBe(want.length);
        expect(Buffer.from(target.bytes.subarray(target.start, target.end))).toEqual(
          Buffer.from(want),
        );
        expect(asked).toBe(want.some((byte) => byte !== 0) ? 1 : 0);
      }),
    );
  });

  test("seekFile() finds what the bytes show", () => {
    fc.assert(
      fc.property(lengths, fc.nat(80), (parts, offset) => {
        const sparse = extentsOf(parts);
        const content = contentOf(sparse);
        fc.pre(offset < sparse.size);
        const data = content.findIndex((byte, at) => at >= offset && byte !== 0);
        const table = tableOf(sparse);
        expect(seekFile(table, 0, { offset, target: "data" })).toBe(data < 0 ? undefined : data);
        const hole = content.findIndex((byte, at) => at >= offset && byte === 0);
        expect(seekFile(table, 0, { offset, target: "hole" })).toBe(hole < 0 ? sparse.size : hole);
      }),
    );
  });
});
