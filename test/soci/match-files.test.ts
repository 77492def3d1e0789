import { expect, test } from "bun:test";
import { cleanPath, matchFiles } from "../../src/soci/match-files.ts";
import type { FileMetadata } from "../../src/ztoc/file-metadata.ts";

const ROW: FileMetadata = {
  name: new Uint8Array(0),
  type: "reg",
  uncompressedOffset: 0,
  uncompressedSize: 0,
  linkname: new Uint8Array(0),
  mode: 0n,
  uid: 0,
  gid: 0,
  uname: new Uint8Array(0),
  gname: new Uint8Array(0),
  modTime: "",
  devmajor: 0n,
  devminor: 0n,
  xattrs: [],
};

/** Spans of 100 bytes. */
function ztocOf(
  files: readonly (Partial<Omit<FileMetadata, "name">> & { readonly name: string })[],
) {
  return {
    files: files.map((file) => ({ ...ROW, ...file, name: Buffer.from(file.name) })),
    zinfo: {
      bytes: new Uint8Array(0),
      maxSpanId: 99,
      spanSize: 100,
      rangeOf: () => {
        throw new Error("not asked for");
      },
      spanOf: (offset: number) => Math.floor(offset / 100),
    },
  };
}

test.each([
  { title: "an absolute path", path: "/usr/bin/../bin/jq", clean: "usr/bin/jq" },
  { title: "a path in the working directory", path: "./a", clean: "a" },
  { title: "a path above the root", path: "../../a", clean: "a" },
  { title: "slashes at the end", path: "opt/app//", clean: "opt/app" },
  { title: "the root", path: "/", clean: "" },
])("cleanPath() cleans $title", ({ path, clean }) => {
  expect(cleanPath(path)).toBe(clean);
});

test.each(["etc/motd", "./etc/motd", "/etc/motd", ".//etc/./motd"])(
  "matchFiles() finds a file that a layer calls %s",
  (name) => {
    expect(matchFiles(ztocOf([{ name }]), new Set(["etc/motd"])).size).toBe(1);
  },
);

test("matchFiles() gives the first and last span of a file, and none too many at a border", () => {
  const ztoc = ztocOf([
    { name: "in", uncompressedOffset: 110, uncompressedSize: 50 },
    { name: "over", uncompressedOffset: 150, uncompressedSize: 200 },
    { name: "border", uncompressedOffset: 100, uncompressedSize: 100 },
    { name: "empty", uncompressedOffset: 300, uncompressedSize: 0 },
  ]);
  expect(Object.fromEntries(matchFiles(ztoc, new Set(["in", "over", "border", "empty"])))).toEqual({
    in: { startSpan: 1, endSpan: 1 },
    over: { startSpan: 1, endSpan: 3 },
    border: { startSpan: 1, endSpan: 1 },
    empty: { startSpan: 3, endSpan: 3 },
  });
});

test("matchFiles() finds links and no directories, and the last of equal names", () => {
  const ztoc = ztocOf([
    { name: "opt/", type: "dir" },
    { name: "opt", type: "dir" },
    { name: "link", type: "symlink" },
    { name: "twice", uncompressedOffset: 0 },
    { name: "twice", uncompressedOffset: 500 },
  ]);
  const found = matchFiles(ztoc, new Set(["opt", "link", "twice"]));
  expect([...found.keys()]).toEqual(["link", "twice"]);
  expect(found.get("twice")).toEqual({ startSpan: 5, endSpan: 5 });
});
