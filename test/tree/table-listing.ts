import { expect } from "bun:test";
import { byteNameOf } from "../../src/tree/byte-name.ts";
import { type ChainChild, type ChainTable, newChainChild } from "../../src/tree/chain-table.ts";
import type { FileTree, NodeId } from "../../src/tree/file-tree.ts";
import type { LayerTable } from "../../src/tree/layer-table.ts";
import {
  encodeDevice,
  newNodeAttributes,
  type NodeAttributes,
  S_IFMT,
  S_IFREG,
  TYPE_BITS,
} from "../../src/tree/node-attributes.ts";

/** A node as a line of a listing holds it: all that a mount would show. */
export interface ListedNode extends NodeAttributes {
  readonly path: string;
  readonly target: string | undefined;
  readonly xattrs: readonly (readonly [string, string])[];
  /** Of a regular file: which inode it is. */
  readonly inode: string | undefined;
  readonly dataOffset: number;
}

/** All nodes of the tables, in the order of a walk; checks on the way that lookups find what lists show. */
export function listTables(chain: ChainTable, layers: readonly LayerTable[]): ListedNode[] {
  const nodes: ListedNode[] = [];
  const child = newChainChild();
  const found = newChainChild();
  const walk = (directory: number, path: string): void => {
    const attributes = newNodeAttributes();
    expect(chain.directoryAttributes(directory, attributes)).toBe(true);
    nodes.push({
      ...attributes,
      path,
      target: undefined,
      xattrs: xattrsOf(chain.xattrNames(directory), (name) => chain.xattr(directory, name)),
      inode: undefined,
      dataOffset: 0,
    });
    const count = chain.childCount(directory);
    for (let position = 0; position < count; position++) {
      expect(chain.childAt(directory, position, child)).toBe(true);
      const name = chain.nameOf(child);
      expect(chain.lookup(directory, name, found)).toBe(true);
      expect(found).toEqual(child);
      const childPath = `${path}/${byteNameOf(name)}`;
      if (!child.isDirectory) {
        nodes.push(inodeOf(layers, child, childPath));
        continue;
      }
      expect(chain.parentOf(child.index)).toBe(directory);
      walk(child.index, childPath);
    }
    expect(chain.childAt(directory, count, child)).toBe(false);
  };
  walk(0, "");
  return nodes;
}

function inodeOf(layers: readonly LayerTable[], child: ChainChild, path: string): ListedNode {
  const { layer, index } = child;
  const table = layers[layer];
  if (table === undefined) throw new Error(`No table of layer ${layer}`);
  const attributes = newNodeAttributes();
  expect(table.attributes(index, attributes)).toBe(true);
  const target = table.target(index);
  return {
    ...attributes,
    path,
    target: target === undefined ? undefined : byteNameOf(target),
    xattrs: xattrsOf(table.xattrNames(index), (name) => table.xattr(index, name)),
    inode: (child.type & S_IFMT) === S_IFREG ? `${layer}:${index}` : undefined,
    dataOffset: table.dataOffset(index),
  };
}

function xattrsOf(
  names: Uint8Array,
  readValue: (name: Uint8Array) => Uint8Array | undefined,
): [string, string][] {
  const list = byteNameOf(names).split("\0").slice(0, -1);
  return list.map((name) => {
    const value = readValue(Buffer.from(name, "latin1"));
    if (value === undefined) throw new Error(`No xattr ${name}, which is listed`);
    return [name, byteNameOf(value)];
  });
}

/** The same of a tree in memory. */
export function listTree(tree: FileTree): ListedNode[] {
  const nodes: ListedNode[] = [];
  const walk = (node: NodeId, path: string): void => {
    nodes.push(listedOf(tree, node, path));
    for (const { name, node: child } of tree.list(node)) walk(child, `${path}/${name}`);
  };
  walk(tree.root, "");
  return nodes;
}

function listedOf(tree: FileTree, node: NodeId, path: string): ListedNode {
  const attributes = tree.attributes(node);
  const isDirectory = attributes.type === "dir";
  const subdirectories = [...tree.list(node)].filter(
    ({ node: child }) => tree.attributes(child).type === "dir",
  ).length;
  const content = tree.content(node);
  return {
    path,
    mode: TYPE_BITS[attributes.type] | attributes.mode,
    nlink: isDirectory ? 2 + subdirectories : tree.links(node),
    uid: attributes.uid,
    gid: attributes.gid,
    rdev: encodeDevice(attributes.devmajor, attributes.devminor),
    size: isDirectory ? 4096 : attributes.size,
    mtimeSeconds: attributes.mtime.seconds,
    mtimeNanoseconds: attributes.mtime.nanoseconds,
    target: attributes.type === "symlink" ? attributes.target : undefined,
    xattrs: attributes.xattrs.map(({ name, value }) => [name, byteNameOf(value)]),
    inode: content === undefined ? undefined : `${content.layer}:${content.entry}`,
    dataOffset: content?.uncompressedOffset ?? 0,
  };
}
