import { describe, expect, test } from "bun:test";
import * as structs from "../../src/fuse/abi-structs.ts";
import { readU64, wireStruct, writeI64 } from "../../src/fuse/wire-struct.ts";

// sizeof() of each in C, from linux/include/uapi/linux/fuse.h.
const SIZES: Readonly<Record<keyof typeof structs, number>> = {
  fuse_in_header: 40,
  fuse_out_header: 16,
  fuse_attr: 88,
  fuse_entry_out: 128,
  fuse_attr_out: 104,
  fuse_init_in: 64,
  fuse_init_out: 64,
  fuse_read_in: 40,
  fuse_dirent: 24,
  fuse_direntplus: 152,
  fuse_getxattr_in: 8,
  fuse_getxattr_out: 8,
  fuse_statfs_out: 80,
  fuse_lseek_in: 24,
  fuse_lseek_out: 8,
  fuse_interrupt_in: 8,
  fuse_notify_inval_entry_out: 16,
  fuse_notify_inval_inode_out: 24,
};

describe("FUSE structs", () => {
  test("have the kernel's sizes", () => {
    const sizes = Object.fromEntries(
      Object.entries(structs).map(([name, { bytes }]) => [name, bytes]),
    );
    expect(sizes).toEqual({ ...SIZES });
  });

  test("have their fields aligned as the C compiler would", () => {
    const odd = Object.entries(structs).flatMap(([name, { at }]) =>
      Object.entries(at)
        .filter(([field, offset]) => offset % 2 !== 0 || (field === "nodeid" && offset % 8 !== 0))
        .map(([field]) => `${name}.${field}`),
    );
    expect(odd).toEqual([]);
  });
});

describe("wireStruct()", () => {
  test("puts fields one behind the other", () => {
    const inner = wireStruct({ a: "u16", b: "u16" });
    const outer = wireStruct({ head: "u32", inner, spare: 12, tail: "u64" });
    expect(outer.at).toEqual({ head: 0, inner: 4, spare: 8, tail: 20 });
    expect(outer.bytes).toBe(28);
  });
});

describe("writeI64() and readU64()", () => {
  const view = new DataView(new ArrayBuffer(8));

  test.each([0, 1, 0xffff_ffff, 2 ** 32, 2 ** 32 + 5, 2 ** 51 + 3, Number.MAX_SAFE_INTEGER])(
    "writeI64() writes %p",
    (value) => {
      writeI64(view, 0, value);
      expect(view.getBigInt64(0, true)).toBe(BigInt(value));
      expect(readU64(view, 0)).toBe(value);
    },
  );

  test.each([-1, -(2 ** 32), -(2 ** 40) - 7, Number.MIN_SAFE_INTEGER])(
    "writeI64() writes %p in two's complement",
    (value) => {
      writeI64(view, 0, value);
      expect(view.getBigInt64(0, true)).toBe(BigInt(value));
    },
  );

  test("readU64() reads what is past 2^53 as past it", () => {
    view.setBigUint64(0, 2n ** 64n - 1n, true);
    expect(readU64(view, 0)).toBeGreaterThan(Number.MAX_SAFE_INTEGER);
  });
});
