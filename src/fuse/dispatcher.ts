import type { Logger } from "../observability/log.ts";
import { EAGAIN, EINVAL, EIO, ENAMETOOLONG, ENOENT, ENOSYS, ERANGE } from "../sys/errno.ts";
import {
  FUSE_BATCH_FORGET,
  FUSE_FORGET,
  FUSE_GETATTR,
  FUSE_GETXATTR,
  FUSE_INTERRUPT,
  FUSE_LISTXATTR,
  FUSE_LOOKUP,
  FUSE_LSEEK,
  FUSE_NOTIFY_REPLY,
  FUSE_READ,
  FUSE_READDIR,
  FUSE_READDIRPLUS,
  FUSE_READLINK,
  FUSE_STATFS,
} from "./abi.ts";
import {
  fuse_attr_out,
  fuse_entry_out,
  fuse_getxattr_in,
  fuse_getxattr_out,
  fuse_in_header,
  fuse_interrupt_in,
  fuse_lseek_in,
  fuse_lseek_out,
  fuse_out_header,
  fuse_read_in,
  fuse_statfs_out,
} from "./abi-structs.ts";
import { newFuseAttr, writeAttrOut, writeEntry, writeNoEntry, writeStatfs } from "./attr-writer.ts";
import { DirectoryWriter } from "./directory-writer.ts";
import { errnoOf } from "./error-errno.ts";
import { type FuseStatfs, PENDING, type RawFileSystem } from "./filesystem.ts";
import { fixedErrno } from "./fixed-answers.ts";
import { FrameBuffers, REPLY_SLACK } from "./frame-buffers.ts";
import { PendingRead } from "./pending-read.ts";
import { BAD_NAME, RequestName, TOO_LONG } from "./request-name.ts";
import { readU64, writeI64 } from "./wire-struct.ts";

const HEADER_IN = fuse_in_header.bytes;
const HEADER_OUT = fuse_out_header.bytes;
const DOT = 0x2e;
/** The request wants no reply. */
const NO_REPLY = PENDING - 1;
/** The file system has no say: every request of the opcode is answered alike. */
const NOT_ASKED = PENDING - 2;

export interface DispatcherOptions {
  readonly fileSystem: RawFileSystem;
  /** Of FuseNegotiated. */
  readonly maxRead: number;
  /** The descriptor that requests come from, for those that are answered elsewhere. */
  readonly fd: number;
  /** Where requests are to stand; memory of its own else. */
  readonly request?: Uint8Array | undefined;
  readonly log: Logger;
}

/**
 * Makes replies of requests, both in `buffers`, without a device. Nothing is allocated for a request
 * that the file system answers without: this is the hot loop, so structs are read at their offsets
 * and only here it is checked that they are whole.
 */
export class Dispatcher {
  readonly buffers: FrameBuffers;
  readonly #fileSystem: RawFileSystem;
  readonly #log: Logger;
  readonly #maxRead: number;
  readonly #read: PendingRead;
  readonly #directory: DirectoryWriter;
  readonly #name: RequestName;
  readonly #attr = newFuseAttr();
  readonly #statfs: FuseStatfs = {
    blocks: 0,
    bfree: 0,
    bavail: 0,
    files: 0,
    ffree: 0,
    bsize: 4096,
    namelen: 255,
    frsize: 4096,
  };

  constructor({ fileSystem, maxRead, fd, request, log }: DispatcherOptions) {
    this.buffers = new FrameBuffers(maxRead, request);
    this.#fileSystem = fileSystem;
    this.#log = log;
    this.#maxRead = maxRead;
    this.#read = new PendingRead(fd, this.buffers.requestView);
    this.#directory = new DirectoryWriter(fileSystem, this.buffers);
    this.#name = new RequestName(this.buffers.request);
  }

  /**
   * Handles the request in the first `length` bytes of `buffers.request`. True: its reply stands in
   * `buffers` from 16 bytes before `start` to `end`. False: there is none to write.
   */
  handle(length: number): boolean {
    const { requestView: view } = this.buffers;
    const { at } = fuse_in_header;
    this.buffers.start = REPLY_SLACK;
    if (length < HEADER_IN || view.getUint32(at.len, true) !== length) {
      this.#log.error("FUSE request is malformed", { length });
      // With a header there is somebody to tell.
      return length >= HEADER_IN && this.#reply(-EIO);
    }
    const opcode = view.getUint32(at.opcode, true);
    const node = readU64(view, at.nodeid);
    let outcome: number;
    try {
      outcome = this.#ask(opcode, node, length);
    } catch (error) {
      this.#log.error("FUSE request failed", { opcode, node, error });
      outcome = -errnoOf(error);
    }
    if (outcome === NOT_ASKED) return this.#reply(-fixedErrno(opcode));
    // As a failure it would have the kernel never ask again.
    return this.#reply(outcome === -ENOSYS ? -EIO : outcome);
  }

  /** The size of the data that stands at `buffers.start`; -errno; PENDING; or one of the above. */
  #ask(opcode: number, node: number, length: number): number {
    switch (opcode) {
      case FUSE_LOOKUP:
        return this.#lookup(node, length);
      case FUSE_GETATTR:
        return this.#getattr(node);
      case FUSE_READ:
        return this.#readFile(node, length);
      case FUSE_READDIRPLUS:
        return this.#readDirectory(node, length, true);
      case FUSE_READDIR:
        return this.#readDirectory(node, length, false);
      case FUSE_READLINK:
        return this.#data(this.#fileSystem.readlink(node));
      case FUSE_GETXATTR:
        return this.#getxattr(node, length);
      case FUSE_LISTXATTR:
        return this.#listxattr(node, length);
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_NOTIFY_REPLY:
        return NO_REPLY;
      case FUSE_STATFS:
        return this.#statfsReply();
      case FUSE_LSEEK:
        return this.#lseek(node, length);
      case FUSE_INTERRUPT:
        return this.#interrupt(length);
      default:
        return NOT_ASKED;
    }
  }

  #lookup(parent: number, length: number): number {
    const { view, start } = this.buffers;
    const name = this.#name.view(HEADER_IN, length);
    if (name === BAD_NAME) return -EINVAL;
    if (name === TOO_LONG) return -ENAMETOOLONG;
    const node = this.#nodeOf(parent, name);
    if (node < 0) return node;
    if (node === 0) {
      if (!this.#fileSystem.isStable(parent)) return -ENOENT;
      writeNoEntry(view, start);
    } else {
      writeEntry(view, start, node, this.#attr);
    }
    return fuse_entry_out.bytes;
  }

  #nodeOf(parent: number, name: Uint8Array): number {
    const fileSystem = this.#fileSystem;
    if (name[0] === DOT) {
      // EXPORT_SUPPORT: somebody holds a handle of a node that the kernel has forgotten.
      const isDot = name.length === 1;
      if (isDot || (name.length === 2 && name[1] === DOT)) {
        const node = isDot ? parent : fileSystem.parentOf(parent);
        const failed = node < 0 ? node : fileSystem.getattr(node, this.#attr);
        return failed < 0 ? failed : node;
      }
    }
    return fileSystem.lookup(parent, name, this.#attr);
  }

  #getattr(node: number): number {
    const failed = this.#fileSystem.getattr(node, this.#attr);
    if (failed < 0) return failed;
    writeAttrOut(this.buffers.view, this.buffers.start, this.#attr);
    return fuse_attr_out.bytes;
  }

  #readFile(node: number, length: number): number {
    if (length < HEADER_IN + fuse_read_in.bytes) return -EINVAL;
    const { buffers } = this;
    const read = this.#read;
    read.take(node);
    if (read.size > this.#maxRead || read.offset > Number.MAX_SAFE_INTEGER) return -EINVAL;
    buffers.end = buffers.start;
    const count = this.#fileSystem.read(read, buffers);
    if (count < 0) return count;
    const { start, end, bytes } = buffers;
    if (start >= HEADER_OUT && end - start === count && count <= read.size && end <= bytes.length) {
      return count;
    }
    this.#log.error("FUSE read gave a wrong range", { node, start, end, count, size: read.size });
    buffers.start = REPLY_SLACK;
    return -EIO;
  }

  #readDirectory(node: number, length: number, plus: boolean): number {
    if (length < HEADER_IN + fuse_read_in.bytes) return -EINVAL;
    const read = this.#read;
    read.take(node);
    return this.#directory.write(node, read.offset, Math.min(read.size, this.#maxRead), plus);
  }

  #getxattr(node: number, length: number): number {
    if (!this.#fileSystem.hasXattrs) return NOT_ASKED;
    const start = HEADER_IN + fuse_getxattr_in.bytes;
    const name = this.#name.view(start, length);
    if (name === BAD_NAME) return -EINVAL;
    // XATTR_NAME_MAX is 255 too.
    if (name === TOO_LONG) return -ERANGE;
    return this.#sized(this.#fileSystem.getxattr(node, name));
  }

  #listxattr(node: number, length: number): number {
    if (!this.#fileSystem.hasXattrs) return NOT_ASKED;
    if (length < HEADER_IN + fuse_getxattr_in.bytes) return -EINVAL;
    return this.#sized(this.#fileSystem.listxattr(node));
  }

  /** A value, if the caller has room for it; its size, if the caller asks with none. */
  #sized(value: Uint8Array | number): number {
    if (typeof value === "number") return this.#data(value);
    const { requestView, view, start } = this.buffers;
    const room = requestView.getUint32(HEADER_IN + fuse_getxattr_in.at.size, true);
    if (room === 0) {
      view.setUint32(start + fuse_getxattr_out.at.size, value.length, true);
      view.setUint32(start + fuse_getxattr_out.at.padding, 0, true);
      return fuse_getxattr_out.bytes;
    }
    return value.length > room ? -ERANGE : this.#data(value);
  }

  #data(value: Uint8Array | number): number {
    if (typeof value === "number") return value < 0 ? value : -EIO;
    if (value.length > this.#maxRead) return -EIO;
    this.buffers.bytes.set(value, this.buffers.start);
    return value.length;
  }

  #statfsReply(): number {
    const failed = this.#fileSystem.statfs(this.#statfs);
    if (failed < 0) return failed;
    writeStatfs(this.buffers.view, this.buffers.start, this.#statfs);
    return fuse_statfs_out.bytes;
  }

  #lseek(node: number, length: number): number {
    if (length < HEADER_IN + fuse_lseek_in.bytes) return -EINVAL;
    const { requestView, view, start } = this.buffers;
    const { at } = fuse_lseek_in;
    const offset = readU64(requestView, HEADER_IN + at.offset);
    if (offset > Number.MAX_SAFE_INTEGER) return -EINVAL;
    const whence = requestView.getUint32(HEADER_IN + at.whence, true);
    const found = this.#fileSystem.lseek(node, offset, whence);
    if (found < 0) return found;
    writeI64(view, start + fuse_lseek_out.at.offset, found);
    return fuse_lseek_out.bytes;
  }

  #interrupt(length: number): number {
    if (length < HEADER_IN + fuse_interrupt_in.bytes) return NO_REPLY;
    const unique = this.buffers.requestView.getBigUint64(
      HEADER_IN + fuse_interrupt_in.at.unique,
      true,
    );
    return this.#fileSystem.interrupt(unique) ? NO_REPLY : -EAGAIN;
  }

  /** Puts the header before the data. */
  #reply(outcome: number): boolean {
    if (outcome === NO_REPLY || outcome === PENDING) return false;
    const { buffers } = this;
    const { view, requestView, start } = buffers;
    const { at } = fuse_out_header;
    const { at: inAt } = fuse_in_header;
    const size = Math.max(0, outcome);
    const header = start - HEADER_OUT;
    buffers.end = start + size;
    view.setInt32(header + at.len, HEADER_OUT + size, true);
    view.setInt32(header + at.error, Math.min(0, outcome), true);
    view.setInt32(header + at.unique, requestView.getInt32(inAt.unique, true), true);
    view.setInt32(header + at.unique + 4, requestView.getInt32(inAt.unique + 4, true), true);
    return true;
  }
}
