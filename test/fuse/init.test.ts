import { describe, expect, test } from "bun:test";
import {
  FUSE_AUTO_INVAL_DATA,
  FUSE_CACHE_SYMLINKS,
  FUSE_DO_READDIRPLUS,
  FUSE_HAS_RESEND,
  FUSE_INIT,
  FUSE_LOOKUP,
  FUSE_MAX_PAGES,
  FUSE_POSIX_ACL,
  FUSE_READDIRPLUS_AUTO,
} from "../../src/fuse/abi.ts";
import { fuse_init_out } from "../../src/fuse/abi-structs.ts";
import { agreeOn, decodeInit, encodeInitReply, hasFeature } from "../../src/fuse/init.ts";
import { packed, replyOf, requestFrame } from "../support/fuse-frame.ts";

const ALL = 0xffff_ffff;
const OFFER = {
  unique: 2n,
  major: 7,
  minor: 45,
  maxReadahead: 131_072,
  flags: ALL,
  flags2: ALL,
};

/** INIT as a kernel sends it. */
function initFrame(minor: number, { flags = ALL, flags2 = ALL, bytes = 64 } = {}): Uint8Array {
  const body = new Uint8Array(64);
  body.set(packed([4, 7], [4, minor], [4, 131_072], [4, flags], [4, flags2]));
  return requestFrame({ opcode: FUSE_INIT, node: 0, unique: 2n }, body.subarray(0, bytes));
}

describe("decodeInit()", () => {
  test("reads what the kernel offers", () => {
    expect(decodeInit(initFrame(45))).toEqual(OFFER);
  });

  test("has no second flags where the kernel does not say INIT_EXT, or sends a short INIT", () => {
    expect(decodeInit(initFrame(35, { flags: ALL & ~(1 << 30) })).flags2).toBe(0);
    expect(decodeInit(initFrame(31, { bytes: 16 })).flags2).toBe(0);
  });

  test.each([
    { title: "nothing", frame: new Uint8Array(0) },
    { title: "another opcode", frame: requestFrame({ opcode: FUSE_LOOKUP }, new Uint8Array(64)) },
    { title: "a header alone", frame: requestFrame({ opcode: FUSE_INIT }) },
    { title: "a part of its body", frame: initFrame(45, { bytes: 15 }) },
  ])("refuses $title", ({ frame }) => {
    expect(() => decodeInit(frame)).toThrow(expect.objectContaining({ kind: "data-loss" }));
  });
});

describe("agreeOn()", () => {
  test.each([
    { title: "7.30", major: 7, minor: 30 },
    { title: "8.0", major: 8, minor: 0 },
    { title: "6.99", major: 6, minor: 99 },
  ])("refuses a kernel that speaks $title, and says what it takes", ({ major, minor }) => {
    expect(() => agreeOn({ ...OFFER, major, minor })).toThrow(
      expect.objectContaining({
        kind: "unsupported",
        message: expect.stringContaining("7.31 or newer (Linux 5.4)"),
      }),
    );
  });

  test("takes 7.31, and speaks no newer version than its own", () => {
    expect(agreeOn({ ...OFFER, minor: 31 })).toMatchObject({ minor: 31, kernelMinor: 31 });
    expect(agreeOn({ ...OFFER, minor: 90 })).toMatchObject({ minor: 45, kernelMinor: 90 });
  });

  test("asks for readdirplus always, and for nothing it does not serve", () => {
    const agreed = agreeOn(OFFER);
    expect(hasFeature(agreed, FUSE_DO_READDIRPLUS)).toBe(true);
    expect(hasFeature(agreed, FUSE_CACHE_SYMLINKS)).toBe(true);
    expect(hasFeature(agreed, FUSE_MAX_PAGES)).toBe(true);
    expect(hasFeature(agreed, FUSE_HAS_RESEND)).toBe(true);
    expect(hasFeature(agreed, FUSE_READDIRPLUS_AUTO)).toBe(false);
    expect(hasFeature(agreed, FUSE_POSIX_ACL)).toBe(false);
    expect(hasFeature(agreed, FUSE_AUTO_INVAL_DATA)).toBe(false);
  });

  test("asks for ACLs and for a root that changes where they are wanted", () => {
    const agreed = agreeOn(OFFER, { acls: true, rootChanges: true });
    expect(hasFeature(agreed, FUSE_POSIX_ACL)).toBe(true);
    expect(hasFeature(agreed, FUSE_AUTO_INVAL_DATA)).toBe(true);
  });

  test("agrees on nothing that the kernel does not have", () => {
    expect(agreeOn({ ...OFFER, flags: 1, flags2: 0 })).toMatchObject({ flags: 1, flags2: 0 });
  });

  test.each([0, 4095, 6000, 4096 * 65_536])("refuses reads of %p bytes", (maxRead) => {
    expect(() => agreeOn(OFFER, { maxRead })).toThrow(RangeError);
  });

  test.each([0, 65_536, 1.5])("refuses %p requests in the background", (maxBackground) => {
    expect(() => agreeOn(OFFER, { maxBackground })).toThrow(RangeError);
  });

  test("gives plain data: another process gets the same", () => {
    const agreed = agreeOn(OFFER);
    expect(JSON.parse(JSON.stringify(agreed))).toEqual(agreed);
  });
});

describe("encodeInitReply()", () => {
  test("says what was agreed", () => {
    const agreed = agreeOn(OFFER, { maxBackground: 600 });
    const { errno, unique, body, view } = replyOf(encodeInitReply(2n, agreed));
    const { at } = fuse_init_out;
    expect({ errno, unique, bytes: body.length }).toEqual({ errno: 0, unique: 2n, bytes: 64 });
    expect(view.getUint32(at.major, true)).toBe(7);
    expect(view.getUint32(at.minor, true)).toBe(45);
    expect(view.getUint32(at.max_readahead, true)).toBe(131_072);
    expect(view.getUint32(at.flags, true)).toBe(agreed.flags);
    expect(view.getUint32(at.flags2, true)).toBe(agreed.flags2);
    expect(view.getUint16(at.max_background, true)).toBe(600);
    expect(view.getUint16(at.congestion_threshold, true)).toBe(450);
    expect(view.getUint32(at.max_write, true)).toBe(4096);
    expect(view.getUint32(at.time_gran, true)).toBe(1);
    expect(view.getUint16(at.max_pages, true)).toBe(256);
  });
});
