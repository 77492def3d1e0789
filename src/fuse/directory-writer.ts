import { fuse_dirent, fuse_direntplus } from "./abi-structs.ts";
import { newFuseAttr, writeEntry, writeNoEntry } from "./attr-writer.ts";
import type { DirectoryChild, RawFileSystem } from "./filesystem.ts";
import type { FrameBuffers } from "./frame-buffers.ts";
import { writeI64 } from "./wire-struct.ts";

const DOT = Uint8Array.of(0x2e);
const DOT_DOT = Uint8Array.of(0x2e, 0x2e);
const S_IFDIR = 0o040000;
const NAME_MAX = 255;
/** "." and "..". */
const OWN_NAMES = 2;

/**
 * Writes the names of a directory into a reply, as many as fit. A name's cookie is its place, so
 * that nothing need be remembered between the parts.
 */
export class DirectoryWriter {
  readonly #fileSystem: RawFileSystem;
  readonly #buffers: FrameBuffers;
  readonly #child: DirectoryChild = { name: DOT, node: 0, mode: 0 };
  readonly #attr = newFuseAttr();

  constructor(fileSystem: RawFileSystem, buffers: FrameBuffers) {
    this.#fileSystem = fileSystem;
    this.#buffers = buffers;
  }

  /** Bytes written from `buffers.start` on, 0 at the directory's end; or -errno. */
  write(node: number, position: number, size: number, plus: boolean): number {
    const fileSystem = this.#fileSystem;
    const count = fileSystem.childCount(node);
    if (count < 0) return count;
    const child = this.#child;
    const { start } = this.#buffers;
    const limit = start + size;
    let at = start;
    for (let place = position; place < count + OWN_NAMES; place++) {
      if (place < OWN_NAMES) {
        child.name = place === 0 ? DOT : DOT_DOT;
        child.node = place === 0 ? node : fileSystem.parentOf(node);
        child.mode = S_IFDIR;
      } else {
        fileSystem.childAt(node, place - OWN_NAMES, child);
        // The kernel would refuse the whole listing; nobody could open it either.
        if (child.name.length === 0 || child.name.length > NAME_MAX) continue;
      }
      const next = at + recordBytes(child.name.length, plus);
      if (next > limit) break;
      if (plus) {
        this.#writeEntry(at, place >= OWN_NAMES);
        this.#writeName(at + fuse_direntplus.at.dirent, place + 1, next);
      } else {
        this.#writeName(at, place + 1, next);
      }
      at = next;
    }
    return at - start;
  }

  #writeEntry(at: number, isChild: boolean): void {
    const { node } = this.#child;
    const { view } = this.#buffers;
    // Without a node the kernel takes the name alone, and looks up whoever is asked for.
    if (isChild && this.#fileSystem.getattr(node, this.#attr) === 0) {
      writeEntry(view, at, node, this.#attr);
    } else {
      writeNoEntry(view, at);
    }
  }

  #writeName(start: number, cookie: number, end: number): void {
    const { view, bytes } = this.#buffers;
    const { name, node, mode } = this.#child;
    const { at } = fuse_dirent;
    writeI64(view, start + at.ino, node);
    writeI64(view, start + at.off, cookie);
    view.setInt32(start + at.namelen, name.length, true);
    view.setInt32(start + at.type, (mode >>> 12) & 0xf, true);
    const nameStart = start + fuse_dirent.bytes;
    bytes.set(name, nameStart);
    bytes.fill(0, nameStart + name.length, end);
  }
}

/** Records begin at multiples of 8. */
function recordBytes(nameLength: number, plus: boolean): number {
  const head = plus ? fuse_direntplus.bytes : fuse_dirent.bytes;
  return (head + nameLength + 7) & ~7;
}
