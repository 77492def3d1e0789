import { expect, test } from "bun:test";
import { type Attributes, AttributesReader, mergeXattrs } from "../../src/tree/attributes.ts";
import { byteNameOfText } from "../../src/tree/byte-name.ts";
import type { NodeType } from "../../src/tree/attributes.ts";
import type { FileMetadata } from "../../src/ztoc/file-metadata.ts";
import { FileRow } from "../../src/ztoc/file-row.ts";
import { toc, type TocEntry } from "./toc-entries.ts";

function attributesOf(file: FileMetadata, type: NodeType): Attributes {
  const row = new FileRow();
  row.read(file);
  return new AttributesReader().read(row, type);
}

function attributes(entry: Omit<TocEntry, "name">, type: NodeType) {
  const [only] = toc([{ name: "n", ...entry }]);
  if (only === undefined) throw new Error("no entry");
  return attributesOf(only, type);
}

test("AttributesReader keeps the permission bits of a mode alone", () => {
  expect(attributes({ mode: 0o104755 }, "reg").mode).toBe(0o4755);
});

test("AttributesReader takes the low bits of a negative mode", () => {
  const [entry] = toc([{ name: "n" }]);
  if (entry === undefined) throw new Error("no entry");
  expect(attributesOf({ ...entry, mode: -1n }, "reg").mode).toBe(0o7777);
});

test("AttributesReader gives a symlink mode 777 and its target's length", () => {
  expect(attributes({ linkname: "usr/bin", mode: 0 }, "symlink")).toMatchObject({
    mode: 0o777,
    size: 7,
    target: "usr/bin",
  });
});

test("AttributesReader gives device numbers to devices alone", () => {
  const numbers = { devmajor: 1n, devminor: 3n };
  expect([attributes(numbers, "char").devminor, attributes(numbers, "reg").devminor]).toEqual([
    3, 0,
  ]);
});

test.each([
  { title: "a user attribute of a file", key: "SCHILY.xattr.user.a", type: "reg", kept: true },
  {
    title: "no user attribute of a symlink",
    key: "SCHILY.xattr.user.a",
    type: "symlink",
    kept: false,
  },
  {
    title: "a security attribute of a symlink",
    key: "SCHILY.xattr.security.selinux",
    type: "symlink",
    kept: true,
  },
  { title: "an ACL", key: "SCHILY.xattr.system.posix_acl_access", type: "dir", kept: true },
  {
    title: "nothing of overlayfs",
    key: "SCHILY.xattr.trusted.overlay.opaque",
    type: "dir",
    kept: false,
  },
  { title: "no unknown namespace", key: "SCHILY.xattr.os2.a", type: "reg", kept: false },
  { title: "no namespace without a name", key: "SCHILY.xattr.user.", type: "reg", kept: false },
  { title: "no other pax record", key: "mtime", type: "reg", kept: false },
] as const)("AttributesReader keeps $title", ({ key, type, kept }) => {
  expect(attributes({ xattrs: { [key]: "v" } }, type).xattrs.length).toBe(kept ? 1 : 0);
});

test("mergeXattrs() lets the upper win and sorts by name", () => {
  const xattr = (name: string, value: string) => ({
    name: byteNameOfText(name),
    value: Buffer.from(value),
  });
  const all = mergeXattrs(
    [xattr("user.b", "1"), xattr("user.c", "1")],
    [xattr("user.a", "2"), xattr("user.b", "2")],
  );
  expect(all.map(({ name, value }) => `${name}=${Buffer.from(value)}`)).toEqual([
    "user.a=2",
    "user.b=2",
    "user.c=1",
  ]);
});
