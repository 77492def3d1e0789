import { createHash } from "node:crypto";
import { byteNameOf } from "../../src/tree/byte-name.ts";
import { type ChainTable, newChainChild } from "../../src/tree/chain-table.ts";
import type { LayerTable } from "../../src/tree/layer-table.ts";
import { type NodeAttributes, newNodeAttributes, S_IFMT } from "../../src/tree/node-attributes.ts";
import { deviceText, type ListedPath, mtimeText } from "../support/compare-trees.ts";

/** A layer as a mount has it: its inodes, and its uncompressed bytes. */
export interface TableLayer {
  readonly table: LayerTable;
  readonly tar: Uint8Array;
}

const TYPES: ReadonlyMap<number, ListedPath["type"]> = new Map([
  [0o100000, "reg"],
  [0o040000, "dir"],
  [0o120000, "symlink"],
  [0o020000, "char"],
  [0o060000, "block"],
  [0o010000, "fifo"],
]);

/** All that a mount would show of these tables, as listDirectory() lists a directory. */
export function listTables(chain: ChainTable, layers: readonly TableLayer[]): ListedPath[] {
  const listed: ListedPath[] = [];
  const seen = new Map<string, string>();
  const attributes = newNodeAttributes();
  const walk = (directory: number, path: string): void => {
    chain.directoryAttributes(directory, attributes);
    const xattrs = xattrsOf(chain.xattrNames(directory), (name) => chain.xattr(directory, name));
    listed.push({ path, ...commonOf(attributes, xattrs) });
    for (let position = 0; position < chain.childCount(directory); position++) {
      const child = newChainChild();
      chain.childAt(directory, position, child);
      const childPath = `${path}/${byteNameOf(chain.nameOf(child))}`;
      if (child.isDirectory) {
        walk(child.index, childPath);
        continue;
      }
      const layer = layers[child.layer];
      if (layer === undefined) throw new Error(`No layer ${child.layer}`);
      const inode = `${child.layer}:${child.index}`;
      listed.push({ path: childPath, ...inodeOf(layer, child.index), ...sameAs(seen.get(inode)) });
      if (!seen.has(inode)) seen.set(inode, childPath);
    }
  };
  walk(0, "");
  return listed;
}

function sameAs(first: string | undefined): Pick<ListedPath, "sameAs"> {
  return first === undefined ? {} : { sameAs: first };
}

function inodeOf({ table, tar }: TableLayer, entry: number): Omit<ListedPath, "path"> {
  const attributes = newNodeAttributes();
  if (!table.attributes(entry, attributes)) throw new Error(`No inode of entry ${entry}`);
  const xattrs = xattrsOf(table.xattrNames(entry), (name) => table.xattr(entry, name));
  const common = commonOf(attributes, xattrs);
  const { type } = common;
  const target = table.target(entry);
  return {
    ...common,
    ...(type === "reg" || type === "symlink" ? { size: attributes.size } : {}),
    nlink: attributes.nlink,
    ...(type === "char" || type === "block" ? { device: deviceText(attributes.rdev) } : {}),
    ...(target === undefined ? {} : { target: byteNameOf(target) }),
    ...(type === "reg" ? { digest: digestOf(table, entry, tar) } : {}),
  };
}

function commonOf(
  { mode, uid, gid, mtimeSeconds, mtimeNanoseconds }: NodeAttributes,
  xattrs: Readonly<Record<string, string>>,
): Omit<ListedPath, "path"> {
  const type = TYPES.get(mode & S_IFMT);
  if (type === undefined) throw new Error(`No type has mode ${mode.toString(8)}`);
  return {
    type,
    mode: (mode & 0o7777).toString(8).padStart(4, "0"),
    uid,
    gid,
    mtime: mtimeText(mtimeSeconds, mtimeNanoseconds),
    ...(Object.keys(xattrs).length === 0 ? {} : { xattrs }),
  };
}

function xattrsOf(
  names: Uint8Array,
  read: (name: Uint8Array) => Uint8Array | undefined,
): Record<string, string> {
  const list = byteNameOf(names).split("\0").slice(0, -1);
  return Object.fromEntries(
    list.map((name) => {
      const value = read(Buffer.from(name, "latin1"));
      if (value === undefined) throw new Error(`No xattr ${name}, which is listed`);
      return [name, byteNameOf(value)];
    }),
  );
}

/** A file's bytes, run by run, as reads of a mount would be answered. */
function digestOf(table: LayerTable, entry: number, tar: Uint8Array): string {
  const hash = createHash("sha256");
  const run = { tarStart: 0, length: 0, isHole: false };
  for (let offset = 0; offset < table.sizeOf(entry); offset += run.length) {
    table.run(entry, offset, run);
    const { tarStart, length, isHole } = run;
    hash.update(isHole ? new Uint8Array(length) : tar.subarray(tarStart, tarStart + length));
  }
  return hash.digest("hex");
}
