import { fuse_attr, fuse_attr_out, fuse_entry_out, fuse_statfs_out } from "./abi-structs.ts";
import type { FuseAttr, FuseStatfs } from "./filesystem.ts";
import { writeI64 } from "./wire-struct.ts";

/** For ever, in seconds: 68 years, which no kernel's arithmetic minds. */
const FOREVER = 0x7fff_ffff;

// Every byte of a struct is written: the buffers hold the replies before.

/** fuse_entry_out of a node that is there, valid for ever; its attributes too, unless they change. */
export function writeEntry(view: DataView, start: number, node: number, attr: FuseAttr): void {
  const { at } = fuse_entry_out;
  writeI64(view, start + at.nodeid, node);
  writeI64(view, start + at.generation, 0);
  writeI64(view, start + at.entry_valid, FOREVER);
  writeI64(view, start + at.attr_valid, attr.isChanging ? 0 : FOREVER);
  view.setInt32(start + at.entry_valid_nsec, 0, true);
  view.setInt32(start + at.attr_valid_nsec, 0, true);
  writeAttr(view, start + at.attr, attr);
}

/** fuse_entry_out that says for ever that a name is absent; or, within READDIRPLUS, nothing about it. */
export function writeNoEntry(view: DataView, start: number): void {
  const { at, bytes } = fuse_entry_out;
  for (let i = 0; i < bytes; i += 4) view.setInt32(start + i, 0, true);
  writeI64(view, start + at.entry_valid, FOREVER);
}

/** fuse_attr_out, valid for ever unless they change. */
export function writeAttrOut(view: DataView, start: number, attr: FuseAttr): void {
  const { at } = fuse_attr_out;
  writeI64(view, start + at.attr_valid, attr.isChanging ? 0 : FOREVER);
  view.setInt32(start + at.attr_valid_nsec, 0, true);
  view.setInt32(start + at.dummy, 0, true);
  writeAttr(view, start + at.attr, attr);
}

function writeAttr(view: DataView, start: number, attr: FuseAttr): void {
  const { at } = fuse_attr;
  const { mtime, mtimeNsec } = attr;
  writeI64(view, start + at.ino, attr.ino);
  writeI64(view, start + at.size, attr.size);
  writeI64(view, start + at.blocks, attr.blocks);
  writeI64(view, start + at.atime, mtime);
  writeI64(view, start + at.mtime, mtime);
  writeI64(view, start + at.ctime, mtime);
  view.setInt32(start + at.atimensec, mtimeNsec | 0, true);
  view.setInt32(start + at.mtimensec, mtimeNsec | 0, true);
  view.setInt32(start + at.ctimensec, mtimeNsec | 0, true);
  view.setInt32(start + at.mode, attr.mode | 0, true);
  view.setInt32(start + at.nlink, attr.nlink | 0, true);
  view.setInt32(start + at.uid, attr.uid | 0, true);
  view.setInt32(start + at.gid, attr.gid | 0, true);
  view.setInt32(start + at.rdev, attr.rdev | 0, true);
  view.setInt32(start + at.blksize, attr.blksize | 0, true);
  view.setInt32(start + at.flags, 0, true);
}

/** fuse_statfs_out. */
export function writeStatfs(view: DataView, start: number, statfs: FuseStatfs): void {
  const { at, bytes } = fuse_statfs_out;
  for (let i = 0; i < bytes; i += 4) view.setInt32(start + i, 0, true);
  writeI64(view, start + at.blocks, statfs.blocks);
  writeI64(view, start + at.bfree, statfs.bfree);
  writeI64(view, start + at.bavail, statfs.bavail);
  writeI64(view, start + at.files, statfs.files);
  writeI64(view, start + at.ffree, statfs.ffree);
  view.setInt32(start + at.bsize, statfs.bsize | 0, true);
  view.setInt32(start + at.namelen, statfs.namelen | 0, true);
  view.setInt32(start + at.frsize, statfs.frsize | 0, true);
}

export function newFuseAttr(): FuseAttr {
  return {
    ino: 0,
    size: 0,
    blocks: 0,
    blksize: 4096,
    mtime: 0,
    mtimeNsec: 0,
    mode: 0,
    nlink: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    isChanging: false,
  };
}
