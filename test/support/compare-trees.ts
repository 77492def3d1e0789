import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { lstat, open, readdir, readlink } from "node:fs/promises";
import { EOPNOTSUPP, ERANGE } from "../../src/sys/errno.ts";
import { sysGetXattr, sysListXattr } from "../../src/sys/libc.ts";

/** A node of a tree as two trees must agree on it. Bytes that are no text are spelt in latin1. */
export interface ListedPath {
  /** From the root, with a `/` before each name; the root itself is empty. */
  readonly path: string;
  readonly type: "reg" | "dir" | "symlink" | "char" | "block" | "fifo" | "socket";
  /** Permission, setuid, setgid and sticky bits, in octal. */
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  /** Seconds and nanoseconds, as `1600000000.000000000`. */
  readonly mtime: string;
  /** Bytes of a file, or of a symlink's target. */
  readonly size?: number;
  /** Of anything but a directory. */
  readonly nlink?: number;
  /** Of a device, as `major:minor`. */
  readonly device?: string;
  readonly target?: string;
  /** Names and values, sorted by name. */
  readonly xattrs?: Readonly<Record<string, string>>;
  /** sha256 of a file's bytes. */
  readonly digest?: string;
  /** Of a node with several names in the tree: the first of them. */
  readonly sameAs?: string;
}

export interface ListDirectoryOptions {
  /** Namespaces of xattrs to leave out, as `security.selinux`, which an unpacker does not set. */
  readonly ignoreXattrs?: readonly string[];
  /** Reads the files' bytes, by default. */
  readonly digests?: boolean;
}

export interface CompareOptions {
  /** Fields that need not be the same, as `nlink` where upper layers hide names. */
  readonly ignore?: readonly (keyof ListedPath)[];
  /** Most lines to return. */
  readonly most?: number;
}

/** What differs between two trees, a line each: `expect(differences(got, want)).toEqual([])`. */
export function differences(
  got: readonly ListedPath[],
  want: readonly ListedPath[],
  { ignore = [], most = 20 }: CompareOptions = {},
): string[] {
  const ignored: ReadonlySet<string> = new Set(ignore);
  const textOf = (node: ListedPath | undefined): string | undefined => {
    if (node === undefined) return undefined;
    const fields = Object.entries(node).filter(([field]) => !ignored.has(field));
    return JSON.stringify(Object.fromEntries(fields.toSorted(([a], [b]) => (a < b ? -1 : 1))));
  };
  const wanted = new Map(want.map((node) => [node.path, node]));
  const lines: string[] = [];
  for (const node of got) {
    const other = textOf(wanted.get(node.path));
    wanted.delete(node.path);
    if (textOf(node) !== other) lines.push(`got ${textOf(node)}, want ${other ?? "nothing"}`);
  }
  for (const node of wanted.values()) lines.push(`got nothing, want ${textOf(node)}`);
  return lines.length > most ? [...lines.slice(0, most), `${lines.length - most} more`] : lines;
}

const READ_BYTES = 1 << 20;

/**
 * All of a directory as ListedPaths, in the order of a walk with names sorted by their bytes. What
 * file systems count differently (sizes and links of directories) is left out. Nothing but xattrs is
 * asked for synchronously.
 */
export async function* listDirectory(
  root: string,
  options: ListDirectoryOptions = {},
): AsyncGenerator<ListedPath, void> {
  yield* walk(Buffer.from(root), Buffer.alloc(0), { ...options, seen: new Map() });
}

interface WalkOptions extends ListDirectoryOptions {
  /** First names by device and inode. */
  readonly seen: Map<string, string>;
}

async function* walk(
  root: Buffer,
  path: Buffer,
  options: WalkOptions,
): AsyncGenerator<ListedPath, void> {
  const full = Buffer.concat([root, path]);
  const stats = await lstat(full, { bigint: true });
  yield await listedOf(full, path.toString("latin1"), { ...options, stats });
  if (!stats.isDirectory()) return;
  const names = await readdir(full, { encoding: "buffer" });
  for (const name of names.toSorted(Buffer.compare)) {
    yield* walk(root, Buffer.concat([path, Buffer.from("/"), name]), options);
  }
}

async function listedOf(
  full: Buffer,
  path: string,
  { stats, seen, digests = true, ignoreXattrs = [] }: WalkOptions & { readonly stats: BigIntStats },
): Promise<ListedPath> {
  const type = typeOf(stats);
  const xattrs = xattrsOf(full, ignoreXattrs);
  const inode = `${stats.dev}:${stats.ino}`;
  const first = seen.get(inode);
  if (first === undefined && type !== "dir" && stats.nlink > 1n) seen.set(inode, path);
  return {
    path,
    type,
    mode: (stats.mode & 0o7777n).toString(8).padStart(4, "0"),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtime: mtimeText(
      Number(stats.mtimeNs / 1_000_000_000n),
      Number(stats.mtimeNs % 1_000_000_000n),
    ),
    ...(type === "reg" || type === "symlink" ? { size: Number(stats.size) } : {}),
    ...(type === "dir" ? {} : { nlink: Number(stats.nlink) }),
    ...(type === "char" || type === "block" ? { device: deviceText(Number(stats.rdev)) } : {}),
    ...(type === "symlink"
      ? { target: (await readlink(full, { encoding: "buffer" })).toString("latin1") }
      : {}),
    ...(Object.keys(xattrs).length === 0 ? {} : { xattrs }),
    ...(digests && type === "reg" ? { digest: await digestOf(full) } : {}),
    ...(first === undefined ? {} : { sameAs: first }),
  };
}

/** Seconds and nanoseconds as ListedPath has them. */
export function mtimeText(seconds: number, nanoseconds: number): string {
  return `${seconds}.${String(nanoseconds).padStart(9, "0")}`;
}

/** A device's number, in the kernel's encoding, as ListedPath has it. */
export function deviceText(rdev: number): string {
  return `${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
}

function typeOf(stats: BigIntStats): ListedPath["type"] {
  if (stats.isFile()) return "reg";
  if (stats.isDirectory()) return "dir";
  if (stats.isSymbolicLink()) return "symlink";
  if (stats.isCharacterDevice()) return "char";
  if (stats.isBlockDevice()) return "block";
  return stats.isFIFO() ? "fifo" : "socket";
}

async function digestOf(path: Buffer): Promise<string> {
  const hash = createHash("sha256");
  await using file = await open(path, "r");
  const chunk = Buffer.alloc(READ_BYTES);
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(chunk.subarray(0, bytesRead));
  }
}

function xattrsOf(path: Uint8Array, ignored: readonly string[]): Record<string, string> {
  const names = grown((buffer) => sysListXattr(path, buffer), "llistxattr");
  const list = Buffer.from(names)
    .toString("latin1")
    .split("\0")
    .filter((name) => name !== "");
  const xattrs: Record<string, string> = {};
  for (const name of list.toSorted()) {
    if (ignored.some((prefix) => name.startsWith(prefix))) continue;
    const key = Buffer.from(name, "latin1");
    const value = grown((buffer) => sysGetXattr(path, key, buffer), `lgetxattr ${name}`);
    xattrs[name] = Buffer.from(value).toString("latin1");
  }
  return xattrs;
}

/** What a call writes that first says how much it would. */
function grown(call: (buffer: Uint8Array) => number, what: string): Uint8Array {
  for (;;) {
    const size = call(new Uint8Array(0));
    if (size === -EOPNOTSUPP || size === 0) return new Uint8Array(0);
    if (size < 0) throw new Error(`${what} failed with errno ${-size}`);
    const buffer = new Uint8Array(size);
    const length = call(buffer);
    if (length === -ERANGE) continue;
    if (length < 0) throw new Error(`${what} failed with errno ${-length}`);
    return buffer.subarray(0, length);
  }
}
