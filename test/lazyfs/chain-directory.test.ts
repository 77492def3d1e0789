import { describe, expect, test } from "bun:test";
import * as abi from "../../src/fuse/abi.ts";
import { fuse_attr, fuse_attr_out, fuse_entry_out } from "../../src/fuse/abi-structs.ts";
import { ChainDirectory } from "../../src/lazyfs/chain-directory.ts";
import { hostIdOf, type IdMappings, OVERFLOW_ID } from "../../src/lazyfs/id-map.ts";
import { LazyFileSystem } from "../../src/lazyfs/lazy-file-system.ts";
import { nodeIdOf, ROOT_ID } from "../../src/lazyfs/node-id.ts";
import { STATE_DIRECTORY } from "../../src/lazyfs/state-files.ts";
import { EISDIR, ENOENT, ENOSYS, ESTALE } from "../../src/sys/errno.ts";
import { ChainTable } from "../../src/tree/chain-table.ts";
import { encodeChainTable } from "../../src/tree/encode-chain-table.ts";
import { encodeLayerTable } from "../../src/tree/encode-layer-table.ts";
import { LayerTable } from "../../src/tree/layer-table.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { FrameHarness, nameBytes, packed, readBody, type Reply } from "../support/fuse-frame.ts";
import { failureOf } from "../support/failure.ts";
import { file, toc } from "../tree/toc-entries.ts";

const LAYER = 10;
const LOOK = { xattrs: false, acls: false };

const tree = buildLayerTree(
  toc([file("file", { uncompressedOffset: 512, uncompressedSize: 300, uid: 1000, gid: 5000 })]),
);
const layer = {
  table: LayerTable.open(encodeLayerTable(tree)),
  reader: {
    read: (start: number, end: number, bytes: Uint8Array, at: number) => {
      bytes.fill(7, at, at + end - start);
      return end - start;
    },
  },
};
const table = ChainTable.open(encodeChainTable([{ digest: "layer", tree }]));
const chain = { table, layers: [LAYER] };

function open(ids?: IdMappings): { fs: LazyFileSystem; kernel: FrameHarness } {
  const fs = new LazyFileSystem({
    chains: new Map(),
    layers: new Map(),
    rootChain: undefined,
    mtimeMs: 1_000_500,
    features: LOOK,
    ids,
    onMiss: () => undefined,
    onInterrupt: () => undefined,
  });
  return { fs, kernel: new FrameHarness(fs) };
}

function add(fs: LazyFileSystem, names: Readonly<Record<string, number>>, mtimeMs = 2_000_000) {
  const numbers = Object.values(names);
  fs.add(
    {
      layers: new Map([[LAYER, layer]]),
      chains: new Map(numbers.map((number) => [number, chain])),
      names: new Map(Object.entries(names)),
    },
    mtimeMs,
  );
}

const nodeIn = ({ view }: Reply): bigint => view.getBigUint64(fuse_entry_out.at.nodeid, true);

function look(kernel: FrameHarness, node: number, name: string): Reply {
  return kernel.ask({ opcode: abi.FUSE_LOOKUP, node }, nameBytes(name));
}

const attributesOf = (kernel: FrameHarness, node: number) => {
  const { view } = kernel.ask({ opcode: abi.FUSE_GETATTR, node }, new Uint8Array(16));
  const start = fuse_attr_out.at.attr;
  const { at } = fuse_attr;
  return {
    mode: view.getUint32(start + at.mode, true),
    nlink: view.getUint32(start + at.nlink, true),
    uid: view.getUint32(start + at.uid, true),
    gid: view.getUint32(start + at.gid, true),
    mtime: view.getBigInt64(start + at.mtime, true),
    mtimensec: view.getUint32(start + at.mtimensec, true),
  };
};

/** Names of a directory from a place on, with the place behind the last. */
function list(
  kernel: FrameHarness,
  place: number,
  size = 4096,
  node = ROOT_ID,
): { names: string[]; next: number } {
  const reply = kernel.ask({ opcode: abi.FUSE_READDIR, node }, readBody(place, size));
  const names: string[] = [];
  let next = place;
  for (let at = 0; at < reply.body.length;) {
    const length = reply.view.getUint32(at + 16, true);
    next = Number(reply.view.getBigUint64(at + 8, true));
    names.push(Buffer.from(reply.body.subarray(at + 24, at + 24 + length)).toString());
    at += (24 + length + 7) & ~7;
  }
  return { names, next };
}

describe("a mount that shows chains", () => {
  test("has none at first, and remembers no name as absent", () => {
    const { kernel } = open();
    expect(list(kernel, 0).names).toEqual([".", ".."]);
    expect(look(kernel, ROOT_ID, "one").errno).toBe(ENOENT);
    expect(attributesOf(kernel, ROOT_ID)).toEqual({
      ...{ mode: 0o40755, nlink: 2, uid: 0, gid: 0 },
      ...{ mtime: 1000n, mtimensec: 500_000_000 },
    });
  });

  test("shows a chain that is added, and what is in it", () => {
    const { fs, kernel } = open();
    add(fs, { one: 3 });
    expect(nodeIn(look(kernel, ROOT_ID, "one"))).toBe(BigInt(nodeIdOf(3, 0)));
    expect(nodeIn(look(kernel, nodeIdOf(3, 0), "file"))).toBe(BigInt(nodeIdOf(LAYER, 0)));
    // Absent for ever: a chain does not change.
    expect(look(kernel, nodeIdOf(3, 0), "none")).toMatchObject({ errno: 0 });
    expect(list(kernel, 0).names).toEqual([".", "..", "one"]);
    expect(attributesOf(kernel, ROOT_ID)).toMatchObject({ nlink: 3, mtime: 2000n, mtimensec: 0 });
    expect(nodeIn(look(kernel, nodeIdOf(3, 0), ".."))).toBe(BigInt(ROOT_ID));
    const read = kernel.ask({ opcode: abi.FUSE_READ, node: nodeIdOf(LAYER, 0) }, readBody(0, 4096));
    expect(read.body).toEqual(new Uint8Array(300).fill(7));
  });

  test("gives a file of a layer one node in all of its chains", () => {
    const { fs, kernel } = open();
    add(fs, { one: 3, two: 4 });
    const [a, b] = [3, 4].map((number) => look(kernel, nodeIdOf(number, 0), "file"));
    expect(a?.body).toEqual(b?.body ?? new Uint8Array(0));
  });

  test("answers ESTALE for nodes of what is removed, and leaves the rest", () => {
    const { fs, kernel } = open();
    add(fs, { one: 3, two: 4 });
    fs.remove({ names: ["one"], tables: [3] }, 3_000_000);
    expect(look(kernel, ROOT_ID, "one").errno).toBe(ENOENT);
    const ask = (opcode: number, node: number, body: Uint8Array) =>
      kernel.ask({ opcode, node }, body).errno;
    expect(ask(abi.FUSE_GETATTR, nodeIdOf(3, 0), new Uint8Array(16))).toBe(ESTALE);
    expect(ask(abi.FUSE_READDIR, nodeIdOf(3, 0), readBody(0, 4096))).toBe(ESTALE);
    expect(look(kernel, nodeIdOf(3, 0), "file").errno).toBe(ESTALE);
    expect(look(kernel, nodeIdOf(4, 0), "file").errno).toBe(0);
    expect(attributesOf(kernel, ROOT_ID)).toMatchObject({ nlink: 3, mtime: 3000n });
    fs.remove({ names: ["two", "never"], tables: [4, LAYER, 77] }, 4_000_000);
    expect(ask(abi.FUSE_READ, nodeIdOf(LAYER, 0), readBody(0, 10))).toBe(ESTALE);
    expect(ask(abi.FUSE_READ, ROOT_ID, readBody(0, 10))).toBe(EISDIR);
  });

  test("tells the kernel once that there are no xattrs, whatever the tables have", () => {
    const { kernel } = open();
    const body = Buffer.concat([packed([4, 0], [4, 0]), nameBytes("user.a")]);
    expect(kernel.ask({ opcode: abi.FUSE_GETXATTR }, body).errno).toBe(ENOSYS);
  });

  test("lists each name once that stays while others come and go", () => {
    const { fs, kernel } = open();
    add(fs, { a: 3, b: 4, c: 5 });
    const first = list(kernel, 0, 24 * 4 + 4 * 8);
    expect(first.names).toEqual([".", "..", "a", "b"]);
    fs.remove({ names: ["a"], tables: [3] }, 3_000_000);
    expect(list(kernel, first.next).names).toEqual(["c"]);
    add(fs, { d: 6 });
    expect(list(kernel, 0).names).toEqual([".", "..", "d", "b", "c"]);
    fs.remove({ names: ["b", "c"], tables: [4, 5] }, 5_000_000);
    expect(list(kernel, 0)).toEqual({ names: [".", "..", "d"], next: 3 });
  });

  test("has the state of each chain's layers where it is looked for, and lists it nowhere", () => {
    const { fs, kernel } = open();
    let fetchedSize = 0;
    const state = () => ({ digest: "sha256:ab", size: 1000, fetchedSize });
    fs.add(
      {
        layers: new Map([[LAYER, { ...layer, state }]]),
        chains: new Map([[3, chain]]),
        names: new Map([["one", 3]]),
      },
      1,
    );
    const root = nodeIdOf(3, 0);
    const directory = Number(nodeIn(look(kernel, root, STATE_DIRECTORY)));
    expect(attributesOf(kernel, directory)).toMatchObject({ mode: 0o40500, nlink: 2, uid: 0 });
    expect(list(kernel, 0, 4096, root).names).toEqual([".", "..", "file"]);
    expect(list(kernel, 0, 4096, directory).names).toEqual([".", "..", "sha256:ab.json"]);
    expect(Number(nodeIn(look(kernel, directory, "..")))).toBe(root);
    expect(Number(nodeIn(look(kernel, directory, "sha256:cd.json")))).toBe(0);
    const reply = look(kernel, directory, "sha256:ab.json");
    const node = Number(nodeIn(reply));
    expect(reply.view.getBigUint64(fuse_entry_out.at.attr_valid, true)).toBe(0n);
    const read = () => kernel.ask({ opcode: abi.FUSE_READ, node }, readBody(0, 4096)).body;
    const before = { attributes: attributesOf(kernel, node), text: read() };
    expect(before.attributes).toMatchObject({ mode: 0o100400, nlink: 1 });
    expect(JSON.parse(Buffer.from(before.text).toString())).toEqual({
      ...{ digest: "sha256:ab", size: 1000, fetchedSize: 0, fetchedPercent: 0 },
    });
    fetchedSize = 333;
    expect(read()).toHaveLength(before.text.length);
    expect(JSON.parse(Buffer.from(read()).toString())).toMatchObject({ fetchedSize: 333 });
    expect(attributesOf(kernel, node)).not.toEqual(before.attributes);
    const rest = kernel.ask({ opcode: abi.FUSE_READ, node }, readBody(before.text.length, 10));
    expect(rest.body).toHaveLength(0);
    fs.remove({ names: ["one"], tables: [3, LAYER] }, 2);
    for (const gone of [directory, node]) {
      const body = new Uint8Array(16);
      expect(kernel.ask({ opcode: abi.FUSE_GETATTR, node: gone }, body).errno).toBe(ESTALE);
    }
  });

  test("shows owners as they are mapped, and its own root as it is", () => {
    const ids = {
      uids: [{ containerId: 0, hostId: 100_000, length: 2000 }],
      gids: [{ containerId: 0, hostId: 200_000, length: 2000 }],
    };
    const { fs, kernel } = open(ids);
    add(fs, { one: 3 });
    expect(attributesOf(kernel, nodeIdOf(LAYER, 0))).toMatchObject({ uid: 101_000, gid: 65_534 });
    expect(attributesOf(kernel, nodeIdOf(3, 0))).toMatchObject({ uid: 100_000, gid: 200_000 });
    expect(attributesOf(kernel, ROOT_ID)).toMatchObject({ uid: 0, gid: 0 });
  });
});

test("ChainDirectory refuses a name that it has", () => {
  const directory = new ChainDirectory(0);
  directory.add("a", 1, 1);
  expect(failureOf(() => directory.add("a", 2, 2))).toMatchObject({ kind: "already-exists" });
  expect(directory.find(Buffer.from("a"))).toBe(1);
});

test.each([
  { title: "the first of a range", id: 10, host: 1000 },
  { title: "the last of a range", id: 14, host: 1004 },
  { title: "one behind a range", id: 15, host: OVERFLOW_ID },
  { title: "one before all ranges", id: 9, host: OVERFLOW_ID },
  { title: "one of the second range", id: 4_294_967_295, host: 7 },
])("hostIdOf(): $title", ({ id, host }) => {
  const maps = [
    { containerId: 10, hostId: 1000, length: 5 },
    { containerId: 4_294_967_295, hostId: 7, length: 1 },
  ];
  expect(hostIdOf(maps, id)).toBe(host);
});
