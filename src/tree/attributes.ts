import type { XattrRecord } from "../ztoc/file-metadata.ts";
import type { FileRow } from "../ztoc/file-row.ts";
import { type ByteName, byteNameOf } from "./byte-name.ts";
import { EPOCH, type ModTime, ModTimeReader } from "./mod-time.ts";

export const SETGID = 0o2000;

/** What stands in a tree; hard links are names of the node they link to. */
export type NodeType = "reg" | "dir" | "symlink" | "char" | "block" | "fifo";

export interface Xattr {
  /** With its namespace, as in `user.comment`. */
  readonly name: ByteName;
  readonly value: Uint8Array;
}

/** What stat(2), readlink(2) and listxattr(2) say of a node. */
export interface Attributes {
  readonly type: NodeType;
  /** Permission, setuid, setgid and sticky bits alone: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: ModTime;
  /** Bytes of a regular file or of a symlink's target; else 0. */
  readonly size: number;
  /** Of a symlink; else empty. */
  readonly target: ByteName;
  /** Of a device; else 0. */
  readonly devmajor: number;
  readonly devminor: number;
  /** Names are unique, sorted by bytes. */
  readonly xattrs: readonly Xattr[];
}

/** A directory that no layer describes: as containerd makes a missing parent, dated 1970 instead of now. */
export const DEFAULT_DIRECTORY: Attributes = {
  type: "dir",
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: EPOCH,
  size: 0,
  target: "" as ByteName,
  devmajor: 0,
  devminor: 0,
  xattrs: [],
};

/** Makes attributes of rows as an unpacker would set them from entries of a TOC. */
export class AttributesReader {
  readonly #modTimes = new ModTimeReader();

  /** Of a node of type `type`. @throws data-loss */
  read(row: FileRow, type: NodeType): Attributes {
    const isSymlink = type === "symlink";
    const isDevice = type === "char" || type === "block";
    const { memory, modTime, linkname } = row;
    const target = isSymlink
      ? byteNameOf(memory.subarray(linkname.start, linkname.end))
      : ("" as ByteName);
    return {
      type,
      mode: isSymlink ? 0o777 : permissionsOf(row.mode),
      uid: ownerOf(row.uid),
      gid: ownerOf(row.gid),
      mtime: this.#modTimes.read(memory, modTime.start, modTime.end),
      size: type === "reg" ? row.uncompressedSize : target.length,
      target,
      devmajor: isDevice ? Number(BigInt.asUintN(32, row.devmajor)) : 0,
      devminor: isDevice ? Number(BigInt.asUintN(32, row.devminor)) : 0,
      xattrs: row.xattrs.length === 0 ? NO_XATTRS : xattrsOf(row.xattrs, type),
    };
  }

  /** `attributes` with what an entry says again of the same node: its xattrs are added to those there. @throws data-loss */
  readAgain(attributes: Attributes, row: FileRow): Attributes {
    const again = this.read(row, attributes.type);
    return {
      ...attributes,
      mode: again.mode,
      uid: row.uid === UNCHANGED ? attributes.uid : again.uid,
      gid: row.gid === UNCHANGED ? attributes.gid : again.gid,
      mtime: again.mtime,
      xattrs: mergeXattrs(attributes.xattrs, again.xattrs),
    };
  }
}

const NO_XATTRS: readonly Xattr[] = [];

/** chown(2) takes -1 for "as it is". */
const UNCHANGED = 0xffff_ffff;

/** Of a new node: what it was made with, by an unpacker that is root. */
function ownerOf(id: number): number {
  return id === UNCHANGED ? 0 : id;
}

function permissionsOf(mode: number | bigint): number {
  return typeof mode === "number" ? mode & 0o7777 : Number(BigInt.asUintN(12, mode));
}

/** Both lists as one; `over` wins where both have a name. */
export function mergeXattrs(under: readonly Xattr[], over: readonly Xattr[]): readonly Xattr[] {
  if (under.length === 0) return over;
  if (over.length === 0) return under;
  const byName = new Map<ByteName, Xattr>();
  for (const xattr of [...under, ...over]) byName.set(xattr.name, xattr);
  return sorted(byName);
}

const PAX_PREFIX = "SCHILY.xattr.";

// What Linux file systems take; anything else, and `trusted.` (a layer must not forge overlayfs
// marks), is left out by containerd with a warning.
const SYSTEM_XATTRS = new Set(["system.posix_acl_access", "system.posix_acl_default"]);

function xattrsOf(records: readonly XattrRecord[], type: NodeType): readonly Xattr[] {
  const byName = new Map<ByteName, Xattr>();
  for (const { key, value } of records) {
    const record = byteNameOf(key);
    if (!record.startsWith(PAX_PREFIX)) continue;
    const name = record.slice(PAX_PREFIX.length) as ByteName;
    if (isSettable(name, type)) byName.set(name, { name, value });
  }
  return sorted(byName);
}

function isSettable(name: ByteName, type: NodeType): boolean {
  if (name.startsWith("security.")) return name.length > "security.".length;
  if (name.startsWith("user.")) {
    return name.length > "user.".length && (type === "reg" || type === "dir");
  }
  return SYSTEM_XATTRS.has(name) && type !== "symlink";
}

function sorted(byName: ReadonlyMap<ByteName, Xattr>): readonly Xattr[] {
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
