import { describe, expect, test } from "bun:test";
import { userOptionsOf } from "../../src/sys/mount-fuse.ts";

const OPTIONS = { directory: "/mnt", source: "image", maxRead: 131_072, allowOther: false };

describe("userOptionsOf()", () => {
  test("says what fusermount3 is to do", () => {
    expect(userOptionsOf(OPTIONS)).toEqual([
      "ro",
      "nosuid",
      "nodev",
      "fsname=image",
      "subtype=sociable",
      "default_permissions",
      "max_read=131072",
    ]);
    expect(userOptionsOf({ ...OPTIONS, allowOther: true })).toContain("allow_other");
  });

  test("lets no name end its option", () => {
    const options = userOptionsOf({ ...OPTIONS, source: "a,suid,b\\,dev" });
    expect(options).toContain("fsname=a\\,suid\\,b\\\\\\,dev");
  });

  test.each([{ suid: true }, { dev: true }])("refuses %p", (asked) => {
    expect(() => userOptionsOf({ ...OPTIONS, ...asked })).toThrow(
      expect.objectContaining({ kind: "permission-denied" }),
    );
  });
});
