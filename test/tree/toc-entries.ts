import type { LayerTree } from "../../src/tree/layer-node.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { byteNameOfText, bytesOfName } from "../../src/tree/byte-name.ts";
import type { FileTree, NodeId } from "../../src/tree/file-tree.ts";
import { mergeLayers } from "../../src/tree/merge-layers.ts";
import type { FileMetadata } from "../../src/ztoc/file-metadata.ts";

/** A TOC entry as a test writes it: a name, as text or bytes, and what matters. */
export type TocEntry = Partial<Omit<FileMetadata, "name" | "linkname" | "xattrs" | "mode">> & {
  readonly name: string | Uint8Array;
  readonly linkname?: string;
  readonly mode?: number;
  readonly xattrs?: Readonly<Record<string, string>>;
};

/** Entries of one layer; data offsets count up by 1024. */
export function toc(entries: readonly TocEntry[]): FileMetadata[] {
  return entries.map((entry, index) => ({
    type: "reg",
    uncompressedOffset: index * 1024 + 512,
    uncompressedSize: 0,
    uid: 0,
    gid: 0,
    uname: new Uint8Array(),
    gname: new Uint8Array(),
    modTime: "2020-09-13T12:26:40Z",
    devmajor: 0n,
    devminor: 0n,
    ...entry,
    name: typeof entry.name === "string" ? Buffer.from(entry.name) : entry.name,
    linkname: Buffer.from(entry.linkname ?? ""),
    mode: BigInt(entry.mode ?? 0o644),
    xattrs: Object.entries(entry.xattrs ?? {}).map(([key, value]) => ({
      key: Buffer.from(key),
      value: Buffer.from(value),
    })),
  }));
}

export function layer(...entries: TocEntry[]): LayerTree {
  return buildLayerTree(toc(entries));
}

export const file = (name: string | Uint8Array, more: Partial<TocEntry> = {}): TocEntry => ({
  ...more,
  name,
});
export const directory = (name: string, more: Partial<TocEntry> = {}): TocEntry => ({
  mode: 0o755,
  ...more,
  name,
  type: "dir",
});
export const symlink = (name: string, linkname: string): TocEntry => ({
  name,
  linkname,
  type: "symlink",
});
export const hardlink = (
  name: string,
  linkname: string,
  more: Partial<TocEntry> = {},
): TocEntry => ({
  ...more,
  name,
  linkname,
  type: "hardlink",
});

export function merged(...layers: TocEntry[][]): FileTree {
  return mergeLayers(layers.map((entries) => layer(...entries)));
}

/** Every path, sorted, with a letter for its type: `d etc`, `- etc/passwd@0`, `l bin -> usr/bin`; a file's layer after `@`. */
export function listing(tree: FileTree): string[] {
  const lines: string[] = [];
  const walk = (node: NodeId, path: string): void => {
    for (const entry of tree.list(node)) {
      const name = path + Buffer.from(bytesOfName(entry.name)).toString();
      lines.push(lineOf(tree, entry.node, name));
      walk(entry.node, `${name}/`);
    }
  };
  walk(tree.root, "");
  return lines;
}

/** The node at a plain path: no symlinks, no `..`. */
export function nodeAt(tree: FileTree, path: string): NodeId | undefined {
  let node: NodeId | undefined = tree.root;
  for (const part of path.split("/").filter((name) => name !== "")) {
    node = node === undefined ? undefined : tree.lookup(node, byteNameOfText(part));
  }
  return node;
}

function lineOf(tree: FileTree, node: NodeId, name: string): string {
  const { type, target } = tree.attributes(node);
  if (type === "dir") return `d ${name}`;
  if (type === "symlink") return `l ${name} -> ${target}`;
  const content = tree.content(node);
  return content === undefined ? `${type} ${name}` : `- ${name}@${content.layer}`;
}
