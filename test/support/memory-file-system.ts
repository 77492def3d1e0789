import {
  type DirectoryChild,
  type FuseAttr,
  type FuseStatfs,
  PENDING,
  type RawFileSystem,
  type ReadRequest,
  type ReadTarget,
} from "../../src/fuse/filesystem.ts";
import { replyError } from "../../src/fuse/replies.ts";
import { EINTR, EISDIR, EINVAL, ENODATA, ENOENT, ENOTDIR, ENXIO } from "../../src/sys/errno.ts";

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** What a node is made of; the rest has defaults. */
export interface NodeOptions {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly rdev?: number;
  readonly nlink?: number;
  readonly mtime?: number;
  readonly mtimeNsec?: number;
  readonly xattrs?: Readonly<Record<string, string>>;
  /** A read of it is answered when it is interrupted, or never. */
  readonly isPending?: boolean;
}

interface MemoryNode extends Required<Omit<NodeOptions, "xattrs">> {
  readonly parent: number;
  readonly size: number;
  readonly target: Uint8Array;
  /** Repeated to the file's size. */
  readonly content: Uint8Array;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  readonly children: { readonly name: Uint8Array; readonly node: number }[];
  readonly byName: Map<string, number>;
}

/** A RawFileSystem of what a test puts into it. Names are latin1, a character a byte. */
export class MemoryFileSystem implements RawFileSystem {
  hasXattrs = true;
  hasAcls = false;
  /** Directories whose absent names are not to be remembered. */
  readonly unstable = new Set<number>();
  /** Reads that wait for somebody else. */
  readonly pending: { readonly fd: number; readonly unique: bigint }[] = [];
  readonly interrupted: bigint[] = [];
  readonly #nodes = new Map<number, MemoryNode>();
  #next = 1;

  constructor() {
    this.#add(0, S_IFDIR | 0o755, {});
  }

  directory(parent: number, name: string, options: NodeOptions = {}): number {
    const node = this.#add(parent, S_IFDIR | 0o755, options);
    return this.link(parent, name, node);
  }

  /** A file of `size` bytes that repeat `content`. */
  file(
    parent: number,
    name: string,
    { content, size = content.length, ...options }: FileOptions,
  ): number {
    const node = this.#add(parent, S_IFREG | 0o644, { ...options, content, size });
    return this.link(parent, name, node);
  }

  symlink(parent: number, name: string, target: string): number {
    const node = this.#add(parent, S_IFLNK | 0o777, { target: Buffer.from(target, "latin1") });
    return this.link(parent, name, node);
  }

  /** One more name of a node. */
  link(parent: number, name: string, node: number): number {
    const directory = this.#nodes.get(parent);
    if (directory === undefined) throw new Error(`there is no node ${parent}`);
    directory.children.push({ name: Buffer.from(name, "latin1"), node });
    directory.byName.set(name, node);
    return node;
  }

  lookup(parent: number, name: Uint8Array, attr: FuseAttr): number {
    const directory = this.#nodes.get(parent);
    if (directory === undefined) return -ENOENT;
    const node = directory.byName.get(textOf(name));
    if (node === undefined) return 0;
    this.getattr(node, attr);
    return node;
  }

  getattr(node: number, attr: FuseAttr): number {
    const found = this.#nodes.get(node);
    if (found === undefined) return -ENOENT;
    attr.ino = node;
    attr.size = found.size;
    attr.blocks = Math.ceil(found.size / 512);
    attr.blksize = 4096;
    attr.mtime = found.mtime;
    attr.mtimeNsec = found.mtimeNsec;
    attr.mode = found.mode;
    attr.nlink = found.nlink;
    attr.uid = found.uid;
    attr.gid = found.gid;
    attr.rdev = found.rdev;
    return 0;
  }

  readlink(node: number): Uint8Array | number {
    const found = this.#nodes.get(node);
    return found === undefined || found.target.length === 0 ? -EINVAL : found.target;
  }

  read(request: ReadRequest, target: ReadTarget): number {
    const found = this.#nodes.get(request.node);
    if (found === undefined) return -ENOENT;
    if ((found.mode & S_IFDIR) !== 0) return -EISDIR;
    if (found.isPending) {
      this.pending.push({ fd: request.fd, unique: request.unique });
      return PENDING;
    }
    const count = Math.max(0, Math.min(request.size, found.size - request.offset));
    copyRepeated(found.content, request.offset, {
      bytes: target.bytes,
      start: target.start,
      count,
    });
    target.end = target.start + count;
    return count;
  }

  childCount(node: number): number {
    const found = this.#nodes.get(node);
    if (found === undefined) return -ENOENT;
    return (found.mode & S_IFDIR) === 0 ? -ENOTDIR : found.children.length;
  }

  childAt(node: number, index: number, child: DirectoryChild): void {
    const found = this.#nodes.get(node)?.children[index];
    if (found === undefined) throw new Error(`node ${node} has no child ${index}`);
    child.name = found.name;
    child.node = found.node;
    child.mode = this.#nodes.get(found.node)?.mode ?? 0;
  }

  parentOf(node: number): number {
    return this.#nodes.get(node)?.parent ?? -ENOENT;
  }

  getxattr(node: number, name: Uint8Array): Uint8Array | number {
    return this.#nodes.get(node)?.xattrs.get(textOf(name)) ?? -ENODATA;
  }

  listxattr(node: number): Uint8Array | number {
    const names = [...(this.#nodes.get(node)?.xattrs.keys() ?? [])];
    return Buffer.from(names.map((name) => `${name}\0`).join(""), "latin1");
  }

  lseek(node: number, offset: number, whence: number): number {
    const size = this.#nodes.get(node)?.size ?? 0;
    if (offset >= size) return -ENXIO;
    if (whence === SEEK_DATA) return offset;
    return whence === SEEK_HOLE ? size : -EINVAL;
  }

  statfs(out: FuseStatfs): number {
    out.blocks = 1000;
    out.files = this.#nodes.size;
    return 0;
  }

  interrupt(unique: bigint): boolean {
    this.interrupted.push(unique);
    const read = this.pending.find((one) => one.unique === unique);
    if (read === undefined) return false;
    replyError(read.fd, unique, EINTR);
    return true;
  }

  isStable(directory: number): boolean {
    return !this.unstable.has(directory);
  }

  #add(
    parent: number,
    mode: number,
    options: NodeOptions & {
      readonly content?: Uint8Array;
      readonly size?: number;
      readonly target?: Uint8Array;
    },
  ): number {
    const node = this.#next++;
    const { target = new Uint8Array(0), content = new Uint8Array(0), xattrs = {} } = options;
    this.#nodes.set(node, {
      parent: parent === 0 ? node : parent,
      mode: (mode & ~0o7777) | (options.mode ?? mode & 0o7777),
      size: options.size ?? target.length,
      uid: options.uid ?? 0,
      gid: options.gid ?? 0,
      rdev: options.rdev ?? 0,
      nlink: options.nlink ?? 1,
      mtime: options.mtime ?? 0,
      mtimeNsec: options.mtimeNsec ?? 0,
      isPending: options.isPending ?? false,
      target,
      content,
      xattrs: new Map(
        Object.entries(xattrs).map(([name, value]) => [name, Buffer.from(value, "latin1")]),
      ),
      children: [],
      byName: new Map(),
    });
    return node;
  }
}

export interface FileOptions extends NodeOptions {
  readonly content: Uint8Array;
  readonly size?: number;
}

/** Bytes of a content that is repeated without end. */
export function copyRepeated(
  content: Uint8Array,
  offset: number,
  to: { readonly bytes: Uint8Array; readonly start: number; readonly count: number },
): void {
  for (let done = 0; done < to.count;) {
    const from = (offset + done) % content.length;
    const part = content.subarray(from, from + to.count - done);
    to.bytes.set(part, to.start + done);
    done += part.length;
  }
}

function textOf(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString("latin1");
}
