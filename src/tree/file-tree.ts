import type { Attributes } from "./attributes.ts";
import type { ByteName } from "./byte-name.ts";

declare const nodeIdBrand: unique symbol;

/** A node of one FileTree. Hard links have one id. */
export type NodeId = number & { readonly [nodeIdBrand]: true };

export interface DirectoryEntry {
  readonly name: ByteName;
  readonly node: NodeId;
}

/** Where the bytes of a regular file lie. */
export interface Content {
  /** Which layer of the image, counted from 0 at the bottom. */
  readonly layer: number;
  /** Where they start in that layer's uncompressed tar. */
  readonly uncompressedOffset: number;
  /** Bytes. */
  readonly size: number;
  /** The entry of the layer's TOC that made the file, counted from 0: with `layer`, its identity. */
  readonly entry: number;
}

/**
 * A file system's names and attributes, read-only and complete: what `ls`, `cat` and a mount look
 * at. Says nothing of how it is stored.
 */
export interface FileTree {
  readonly root: NodeId;
  /** Ids are 0 to nodeCount - 1. */
  readonly nodeCount: number;
  attributes(node: NodeId): Attributes;
  /** `undefined` when there is no such name, or `directory` is none. */
  lookup(directory: NodeId, name: ByteName): NodeId | undefined;
  /** Sorted by the bytes of the names; nothing when `directory` is none. */
  list(directory: NodeId): Iterable<DirectoryEntry>;
  /** `undefined` for anything but a regular file. */
  content(node: NodeId): Content | undefined;
  /** How many names a node that is no directory has in its layer; 1 for a directory. */
  links(node: NodeId): number;
}
