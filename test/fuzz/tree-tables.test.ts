import { expect } from "bun:test";
import fc from "fast-check";
import { ChainTable, newChainChild } from "../../src/tree/chain-table.ts";
import { decodeEntries } from "../../src/tree/decode-entries.ts";
import { encodeChainTable } from "../../src/tree/encode-chain-table.ts";
import { encodeEntries } from "../../src/tree/encode-entries.ts";
import { encodeLayerTable } from "../../src/tree/encode-layer-table.ts";
import type { Extent } from "../../src/tree/extent.ts";
import type { LayerTree } from "../../src/tree/layer-node.ts";
import { LayerTable } from "../../src/tree/layer-table.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { mergeLayers } from "../../src/tree/merge-layers.ts";
import { newNodeAttributes } from "../../src/tree/node-attributes.ts";
import type { FileMetadata } from "../../src/ztoc/file-metadata.ts";
import { listTables, listTree } from "../tree/table-listing.ts";
import { toc } from "../tree/toc-entries.ts";
import { plain } from "../ztoc/files.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";
import { busyEntry, hostileEntry, hostileLayers } from "./tree-samples.ts";

const chainOf = (trees: readonly LayerTree[]): Uint8Array =>
  encodeChainTable(trees.map((tree, layer) => ({ digest: `sha256:${layer}`, tree })));

fuzz(
  "encodeLayerTable() and encodeChainTable() show what mergeLayers() does",
  { runs: 1200 },
  fc.oneof(
    hostileLayers,
    fc.array(fc.array(busyEntry, { maxLength: 12 }), { minLength: 1, maxLength: 5 }),
  ),
  (layers) => {
    const trees = layers
      .map((entries) => acceptedBy(outcomeOf(() => buildLayerTree(toc(entries)))))
      .filter((tree): tree is LayerTree => tree !== undefined);
    const tree = acceptedBy(outcomeOf(() => mergeLayers(trees)));
    if (tree === undefined) return;
    const tables = trees.map((each) => LayerTable.open(encodeLayerTable(each)));
    const chain = ChainTable.open(chainOf(trees));
    expect(listTables(chain, tables)).toEqual(listTree(tree));
  },
);

const bytes = fc.uint8Array({ maxLength: 12 });
const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const u32 = fc.nat(2 ** 32 - 1);
const row: fc.Arbitrary<FileMetadata> = fc.record({
  name: bytes,
  type: fc.oneof(fc.constantFrom("reg", "dir", "symlink", "fifo"), fc.string({ maxLength: 9 })),
  uncompressedOffset: fc.maxSafeNat(),
  uncompressedSize: fc.maxSafeInteger(),
  linkname: bytes,
  mode: i64,
  uid: u32,
  gid: u32,
  uname: bytes,
  gname: bytes,
  modTime: fc.string({ maxLength: 12 }),
  devmajor: fc.oneof(fc.constant(0n), i64),
  devminor: fc.oneof(fc.constant(0n), i64),
  xattrs: fc.array(fc.record({ key: bytes, value: bytes }), { maxLength: 3 }),
});

/** Runs of a file of `size` bytes. */
const runsOf = (size: number): fc.Arbitrary<readonly Extent[]> =>
  fc.uniqueArray(fc.nat(Math.max(size, 0)), { maxLength: 6 }).map((ends) => {
    const sorted = [...ends].sort((a, b) => a - b);
    return sorted.slice(1).map((end, index) => {
      const offset = sorted[index] ?? 0;
      return { offset, length: end - offset };
    });
  });

const entries = fc.array(row, { maxLength: 6 }).chain((files) =>
  fc.record({
    files: fc.constant(files),
    sparse: fc
      .tuple(...files.map(({ uncompressedSize }) => fc.option(runsOf(uncompressedSize))))
      .map(
        (all) =>
          new Map(all.flatMap((runs, index) => (runs === null ? [] : [[index, runs] as const]))),
      ),
  }),
);

fuzz(
  "decodeEntries() gives back what encodeEntries() was given",
  { runs: 400 },
  entries,
  ({ files, sparse }) => {
    const decoded = decodeEntries(encodeEntries(files, sparse));
    expect(decoded.files.map(plain)).toEqual(files.map(plain));
    expect(decoded.sparse).toEqual(sparse);
  },
);

fuzz(
  "LayerTable, ChainTable and decodeEntries() refuse every damaged byte",
  { runs: 400 },
  fc.record({
    files: fc.array(hostileEntry, { minLength: 1, maxLength: 4 }),
    at: fc.nat(),
    bit: fc.nat(7),
    cut: fc.nat(),
  }),
  ({ files, at, bit, cut }) => {
    const rows = toc(files);
    const tree = acceptedBy(outcomeOf(() => buildLayerTree(rows)));
    if (tree === undefined) return;
    const encoded = [
      { bytes: encodeEntries(rows), open: decodeEntries },
      { bytes: encodeLayerTable(tree), open: LayerTable.open },
      { bytes: chainOf([{ ...tree, lowerLinks: [] }]), open: ChainTable.open },
    ] as const;
    for (const { bytes: whole, open } of encoded) {
      const flipped = Uint8Array.from(whole);
      flipped[at % whole.length] = (flipped[at % whole.length] ?? 0) ^ (1 << bit);
      expect(outcomeOf(() => open(flipped))).toEqual({ refused: "data-loss" });
      expect(outcomeOf(() => open(whole.subarray(0, cut % whole.length)))).toEqual({
        refused: "data-loss",
      });
    }
  },
);

const seeds = ((): { readonly bytes: Uint8Array; readonly read: (bytes: Uint8Array) => void }[] => {
  const rows = toc([
    { name: "d", type: "dir", xattrs: { "SCHILY.xattr.user.a": "1" } },
    { name: "d/link", type: "symlink", linkname: "../f" },
    { name: "f", uncompressedSize: 100, xattrs: { "SCHILY.xattr.user.b": "2", comment: "c" } },
    { name: "g", type: "hardlink", linkname: "f" },
    { name: "null", type: "char", devmajor: 1n, devminor: 3n },
    { name: "odd", type: "reg", uncompressedSize: 50 },
  ]);
  const sparse = new Map([
    [
      2,
      [
        { offset: 10, length: 20 },
        { offset: 40, length: 60 },
      ],
    ],
  ]);
  const tree = buildLayerTree(rows);
  return [
    { bytes: encodeEntries(rows, sparse), read: readEntries },
    { bytes: encodeLayerTable(tree, { sparse }), read: readLayerTable },
    { bytes: chainOf([tree]), read: readChainTable },
  ];
})();

function readEntries(bytes: Uint8Array): void {
  for (const file of decodeEntries(bytes).files) plain(file);
}

function readLayerTable(bytes: Uint8Array): void {
  const table = LayerTable.open(bytes);
  const run = { tarStart: 0, length: 0, isHole: false };
  for (let entry = -1; entry <= table.entryCount; entry++) {
    table.attributes(entry, newNodeAttributes());
    table.target(entry);
    const names = Buffer.from(table.xattrNames(entry)).toString("latin1").split("\0");
    for (const name of names) table.xattr(entry, Buffer.from(name, "latin1"));
    const size = table.sizeOf(entry);
    for (const offset of [0, 10, 29, 30, size - 1]) {
      if (offset < 0 || offset >= size) continue;
      table.run(entry, offset, run);
      expect(run.length).toBeGreaterThan(0);
      expect(offset + run.length).toBeLessThanOrEqual(size);
    }
  }
}

function readChainTable(bytes: Uint8Array): void {
  const table = ChainTable.open(bytes);
  const child = newChainChild();
  for (let directory = -1; directory <= table.directoryCount; directory++) {
    table.directoryAttributes(directory, newNodeAttributes());
    expect(table.parentOf(directory)).toBeLessThan(table.directoryCount);
    const names = Buffer.from(table.xattrNames(directory)).toString("latin1").split("\0");
    for (const name of names) table.xattr(directory, Buffer.from(name, "latin1"));
    for (let position = 0; position < table.childCount(directory); position++) {
      expect(table.childAt(directory, position, child)).toBe(true);
      expect(child.nameEnd).toBeLessThanOrEqual(table.names.length);
      if (child.isDirectory) expect(child.index).toBeLessThan(table.directoryCount);
      else expect(child.layer).toBeLessThan(table.layers.length);
      table.lookup(directory, table.nameOf(child), child);
    }
  }
}

/** With the CRC made right: what a table says of itself must not be believed for that. */
function sealed(table: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(table);
  if (copy.length < 32) return copy;
  const view = new DataView(copy.buffer);
  view.setUint32(16, copy.length, true);
  view.setUint32(20, 0, true);
  view.setUint32(12, Bun.hash.crc32(copy.subarray(16)), true);
  return copy;
}

for (const { bytes: seed, read } of seeds) {
  fuzz(
    `${read.name}() stays inside whatever has the right CRC`,
    { runs: 1500 },
    mutationsOf([seed]),
    (table) => {
      outcomeOf(() => read(sealed(table)));
    },
  );
}
