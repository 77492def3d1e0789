import { describe, expect, test } from "bun:test";
import { findMount, listMounts, parseMountinfo } from "../../src/sys/mountinfo.ts";

describe("parseMountinfo()", () => {
  test("reads the example of proc(5)", () => {
    const text = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n";
    expect(parseMountinfo(text)).toEqual([
      {
        id: 36,
        parentId: 35,
        device: "98:0",
        root: "/mnt1",
        mountPoint: "/mnt2",
        options: "rw,noatime",
        type: "ext3",
        source: "/dev/root",
        superOptions: "rw,errors=continue",
      },
    ]);
  });

  test("reads lines with any number of optional fields, and a minus for a name", () => {
    const text = [
      "1 0 0:1 / / rw - rootfs none rw",
      "2 1 0:52 / /a\\040b\\011c\\012d\\134e\\043 ro shared:7 master:2 propagate_from:1 - fuse.sociable - ro",
      "",
    ].join("\n");
    expect(parseMountinfo(text).map(({ mountPoint, source }) => [mountPoint, source])).toEqual([
      ["/", "none"],
      ["/a b\tc\nd\\e#", "-"],
    ]);
  });

  test.each([
    "x",
    "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1",
    "36 35 98:0 /mnt1 /mnt2 rw - ext3 /dev/root",
    "a 35 98:0 / / rw - ext3 /dev/root rw",
    "36 35 98 / / rw - ext3 /dev/root rw",
  ])("refuses %p", (text) => {
    expect(() => parseMountinfo(text)).toThrow(expect.objectContaining({ kind: "data-loss" }));
  });
});

describe("findMount()", () => {
  test("finds the root, and nothing where nothing is mounted", async () => {
    expect((await findMount("/"))?.mountPoint).toBe("/");
    expect(await findMount("/no/such/directory")).toBeUndefined();
  });

  test("finds all that is mounted", async () => {
    expect((await listMounts()).map(({ mountPoint }) => mountPoint)).toContain("/proc");
  });
});
