import { beforeEach, describe, expect, test } from "bun:test";
import {
  FUSE_ACCESS,
  FUSE_BATCH_FORGET,
  FUSE_BMAP,
  FUSE_COPY_FILE_RANGE,
  FUSE_COPY_FILE_RANGE_64,
  FUSE_CREATE,
  FUSE_DESTROY,
  FUSE_FALLOCATE,
  FUSE_FLUSH,
  FUSE_FORGET,
  FUSE_FSYNC,
  FUSE_FSYNCDIR,
  FUSE_GETLK,
  FUSE_IOCTL,
  FUSE_LINK,
  FUSE_MKDIR,
  FUSE_MKNOD,
  FUSE_NOTIFY_REPLY,
  FUSE_OPEN,
  FUSE_OPENDIR,
  FUSE_POLL,
  FUSE_RELEASE,
  FUSE_RELEASEDIR,
  FUSE_REMOVEMAPPING,
  FUSE_REMOVEXATTR,
  FUSE_RENAME,
  FUSE_RENAME2,
  FUSE_RMDIR,
  FUSE_SETATTR,
  FUSE_SETLK,
  FUSE_SETLKW,
  FUSE_SETUPMAPPING,
  FUSE_SETXATTR,
  FUSE_STATX,
  FUSE_SYMLINK,
  FUSE_SYNCFS,
  FUSE_TMPFILE,
  FUSE_UNLINK,
  FUSE_WRITE,
} from "../../src/fuse/abi.ts";
import { ENOSYS, ENOTTY, EROFS } from "../../src/sys/errno.ts";
import { FrameHarness, requestFrame } from "../support/fuse-frame.ts";
import { MemoryFileSystem } from "../support/memory-file-system.ts";

let harness: FrameHarness;

beforeEach(() => {
  harness = new FrameHarness(new MemoryFileSystem());
});

describe("requests that the file system is not asked for", () => {
  test.each([
    { title: "FUSE_FORGET", opcode: FUSE_FORGET },
    { title: "FUSE_BATCH_FORGET", opcode: FUSE_BATCH_FORGET },
    { title: "FUSE_NOTIFY_REPLY", opcode: FUSE_NOTIFY_REPLY },
  ])("$title has no reply", ({ opcode }) => {
    expect(harness.send(requestFrame({ opcode }, new Uint8Array(64)))).toBeUndefined();
  });

  test.each([
    { title: "FUSE_SETATTR", opcode: FUSE_SETATTR },
    { title: "FUSE_SYMLINK", opcode: FUSE_SYMLINK },
    { title: "FUSE_MKNOD", opcode: FUSE_MKNOD },
    { title: "FUSE_MKDIR", opcode: FUSE_MKDIR },
    { title: "FUSE_UNLINK", opcode: FUSE_UNLINK },
    { title: "FUSE_RMDIR", opcode: FUSE_RMDIR },
    { title: "FUSE_RENAME", opcode: FUSE_RENAME },
    { title: "FUSE_RENAME2", opcode: FUSE_RENAME2 },
    { title: "FUSE_LINK", opcode: FUSE_LINK },
    { title: "FUSE_WRITE", opcode: FUSE_WRITE },
    { title: "FUSE_SETXATTR", opcode: FUSE_SETXATTR },
    { title: "FUSE_REMOVEXATTR", opcode: FUSE_REMOVEXATTR },
    { title: "FUSE_CREATE", opcode: FUSE_CREATE },
    { title: "FUSE_TMPFILE", opcode: FUSE_TMPFILE },
    { title: "FUSE_FALLOCATE", opcode: FUSE_FALLOCATE },
    { title: "FUSE_COPY_FILE_RANGE", opcode: FUSE_COPY_FILE_RANGE },
    { title: "FUSE_COPY_FILE_RANGE_64", opcode: FUSE_COPY_FILE_RANGE_64 },
  ])("$title fails with EROFS", ({ opcode }) => {
    expect(harness.ask({ opcode }, new Uint8Array(64)).errno).toBe(EROFS);
  });

  test.each([
    { title: "FUSE_OPEN", opcode: FUSE_OPEN },
    { title: "FUSE_OPENDIR", opcode: FUSE_OPENDIR },
    { title: "FUSE_FLUSH", opcode: FUSE_FLUSH },
    { title: "FUSE_FSYNC", opcode: FUSE_FSYNC },
    { title: "FUSE_FSYNCDIR", opcode: FUSE_FSYNCDIR },
    { title: "FUSE_SYNCFS", opcode: FUSE_SYNCFS },
    { title: "FUSE_ACCESS", opcode: FUSE_ACCESS },
    { title: "FUSE_STATX", opcode: FUSE_STATX },
    { title: "FUSE_BMAP", opcode: FUSE_BMAP },
    { title: "FUSE_POLL", opcode: FUSE_POLL },
    { title: "FUSE_GETLK", opcode: FUSE_GETLK },
    { title: "FUSE_SETLK", opcode: FUSE_SETLK },
    { title: "FUSE_SETLKW", opcode: FUSE_SETLKW },
    { title: "FUSE_SETUPMAPPING", opcode: FUSE_SETUPMAPPING },
    { title: "FUSE_REMOVEMAPPING", opcode: FUSE_REMOVEMAPPING },
    { title: "an opcode that nobody knows", opcode: 4000 },
  ])("$title is not needed: ENOSYS", ({ opcode }) => {
    expect(harness.ask({ opcode }, new Uint8Array(64)).errno).toBe(ENOSYS);
  });

  test("FUSE_IOCTL fails with ENOTTY", () => {
    expect(harness.ask({ opcode: FUSE_IOCTL }, new Uint8Array(32)).errno).toBe(ENOTTY);
  });

  test.each([
    { title: "FUSE_RELEASE", opcode: FUSE_RELEASE },
    { title: "FUSE_RELEASEDIR", opcode: FUSE_RELEASEDIR },
    { title: "FUSE_DESTROY", opcode: FUSE_DESTROY },
  ])("$title succeeds", ({ opcode }) => {
    const { errno, body } = harness.ask({ opcode }, new Uint8Array(24));
    expect({ errno, bytes: body.length }).toEqual({ errno: 0, bytes: 0 });
  });
});
