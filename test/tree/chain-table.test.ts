import { expect, test } from "bun:test";
import { ChainTable, newChainChild } from "../../src/tree/chain-table.ts";
import { encodeChainTable } from "../../src/tree/encode-chain-table.ts";
import { newNodeAttributes } from "../../src/tree/node-attributes.ts";
import { directory, file, hardlink, layer, symlink, type TocEntry } from "./toc-entries.ts";

function chainOf(...layers: TocEntry[][]): ChainTable {
  return ChainTable.open(
    encodeChainTable(
      layers.map((entries, index) => ({ digest: `sha256:${index}`, tree: layer(...entries) })),
    ),
  );
}

/** Where a path leads: `dir 3`, or `layer 0 entry 2`. */
function find(chain: ChainTable, path: string): string | undefined {
  const child = newChainChild();
  let at = 0;
  for (const name of path.split("/")) {
    if (!chain.lookup(at, Buffer.from(name, "latin1"), child)) return undefined;
    at = child.index;
  }
  return child.isDirectory ? `dir ${child.index}` : `layer ${child.layer} entry ${child.index}`;
}

function namesOf(chain: ChainTable, at: number): string[] {
  const child = newChainChild();
  return Array.from({ length: chain.childCount(at) }, (_, position) => {
    chain.childAt(at, position, child);
    return Buffer.from(chain.nameOf(child)).toString("latin1");
  });
}

test("ChainTable knows its layers", () => {
  expect(chainOf([file("a")], [], [file("b")]).layers).toEqual([
    "sha256:0",
    "sha256:1",
    "sha256:2",
  ]);
  expect(chainOf().layers).toEqual([]);
});

test("ChainTable finds names by their bytes", () => {
  const long = "n".repeat(255);
  const names = ["a", "aa", "ab", "b", long, "\xff", "\xe4", "A"];
  const chain = chainOf(names.map((name) => file(Buffer.from(name, "latin1"))));
  expect(names.map((name) => find(chain, name))).toEqual(
    names.map((_, index) => `layer 0 entry ${index}`),
  );
  expect(
    ["", "aaa", "c", long.slice(1), `${long}n`, "\xfe"].map((name) => find(chain, name)),
  ).toEqual(new Array(6).fill(undefined));
  expect(namesOf(chain, 0)).toEqual([...names].sort());
});

test("ChainTable refers to the entry of the layer that a name comes from", () => {
  const chain = chainOf(
    [directory("d"), file("d/a"), file("d/b"), hardlink("d/h", "d/a")],
    [file("d/b"), hardlink("d/c", "d/a"), symlink("s", "d"), file("d/.wh.h")],
  );
  expect(["d/a", "d/b", "d/c", "d/h", "s"].map((path) => find(chain, path))).toEqual([
    "layer 0 entry 1",
    "layer 1 entry 0",
    "layer 0 entry 1",
    undefined,
    "layer 1 entry 2",
  ]);
});

test("ChainTable counts two links and one for each directory in a directory", () => {
  const chain = chainOf(
    [directory("d"), directory("d/x"), file("d/f")],
    [directory("d/y"), symlink("d/l", "x")],
  );
  const attributes = newNodeAttributes();
  expect(find(chain, "d")).toBe("dir 1");
  chain.directoryAttributes(1, attributes);
  expect([attributes.nlink, attributes.mode]).toEqual([4, 0o40755]);
  chain.directoryAttributes(0, attributes);
  expect(attributes.nlink).toBe(3);
  expect(chain.parentOf(1)).toBe(0);
  expect(chain.parentOf(0)).toBe(0);
});

test("ChainTable has xattrs of directories", () => {
  const chain = chainOf([directory("d", { xattrs: { "SCHILY.xattr.user.a": "1" } })]);
  expect(Buffer.from(chain.xattrNames(1)).toString()).toBe("user.a\0");
  expect(chain.xattr(1, Buffer.from("user.a"))).toEqual(Buffer.from("1"));
  expect([chain.xattrNames(0).length, chain.hasXattrs]).toEqual([0, true]);
});

test("ChainTable has nothing of a directory that there is not", () => {
  const chain = chainOf([file("a")]);
  const child = newChainChild();
  expect(chain.directoryAttributes(1, newNodeAttributes())).toBe(false);
  expect([chain.childCount(1), chain.childAt(1, 0, child), chain.childAt(0, -1, child)]).toEqual([
    0,
    false,
    false,
  ]);
  expect(chain.lookup(1, Buffer.from("a"), child)).toBe(false);
});

test("encodeChainTable() shares nothing with the layers that another chain changes", () => {
  const base = layer(directory("d"), file("d/a"), directory("d/e"), file("d/e/x"));
  const chain = (...uppers: TocEntry[][]) =>
    ChainTable.open(
      encodeChainTable(
        [base, ...uppers.map((entries) => layer(...entries))].map((tree, index) => ({
          digest: `sha256:${index}`,
          tree,
        })),
      ),
    );
  const before = chain();
  const changed = chain([file("d/e/.wh.x"), file("d/.wh.a"), file("d/e/y")]);
  expect(["d/a", "d/e/x", "d/e/y"].map((path) => find(changed, path))).toEqual([
    undefined,
    undefined,
    "layer 1 entry 2",
  ]);
  expect(["d/a", "d/e/x"].map((path) => find(chain(), path))).toEqual(
    ["d/a", "d/e/x"].map((path) => find(before, path)),
  );
});
