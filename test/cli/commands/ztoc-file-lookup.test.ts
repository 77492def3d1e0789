import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { findFile } from "../../../src/cli/commands/ztoc-file-lookup.ts";
import { isKind } from "../../../src/errors.ts";
import type { FileMetadata } from "../../../src/ztoc/file-metadata.ts";
import { file } from "../../ztoc/files.ts";

/** Entries as `path`, `path -> target`, `path = hard link's target`; a slash at the end is a directory. */
function filesOf(...lines: readonly string[]): FileMetadata[] {
  return lines.map((line, index) => {
    const [, name = "", sign, target = ""] = /^(.*?)(?: (->|=) (.*))?$/s.exec(line) ?? [];
    const type =
      sign === "->" ? "symlink" : sign === "=" ? "hardlink" : name.endsWith("/") ? "dir" : "reg";
    return file({
      name: Buffer.from(name),
      linkname: Buffer.from(target),
      type,
      uncompressedOffset: (index + 1) * 512,
    });
  });
}

function find(files: readonly FileMetadata[], path: string): string | number {
  try {
    return findFile(files, path).uncompressedOffset / 512 - 1;
  } catch (error) {
    return isKind(error, "not-found", "failed-precondition") ? error.kind : String(error);
  }
}

describe("findFile()", () => {
  test.each([
    { title: "a name as it stands", files: ["a/b"], path: "a/b", want: 0 },
    { title: "a name that stands with ./", files: ["./a/b"], path: "a/b", want: 0 },
    { title: "./ before a name", files: ["a/b"], path: "./a/b", want: 0 },
    { title: "/ before a name", files: ["a/b"], path: "/a/b", want: 0 },
    { title: "a name that stands with /", files: ["/a/b"], path: "./a/b", want: 0 },
    { title: "an odd name as it stands", files: ["x/y", "../x/./y"], path: "../x/./y", want: 1 },
    { title: "a name with .. in it", files: ["a/b"], path: "c/../a/b", want: 0 },
    { title: "the last of equal names", files: ["a", "b", "a"], path: "a", want: 2 },
    {
      title: "the last of names that are equal but for ./",
      files: ["./a", "/a"],
      path: "a",
      want: 1,
    },
    { title: "a directory", files: ["a/"], path: "a", want: 0 },
    { title: "a name beyond ASCII", files: ["日本"], path: "日本", want: 0 },
    { title: "a symlink beside it", files: ["d/f", "d/l -> f"], path: "d/l", want: 0 },
    { title: "a symlink upwards", files: ["f", "d/l -> ../f"], path: "d/l", want: 0 },
    { title: "a symlink above the root", files: ["f", "d/l -> ../../../f"], path: "d/l", want: 0 },
    { title: "an absolute symlink", files: ["./f", "./d/l -> /f"], path: "d/l", want: 0 },
    { title: "a symlink to a later entry", files: ["l -> f", "f"], path: "l", want: 1 },
    { title: "symlinks in a row", files: ["a -> b", "b -> c", "c"], path: "a", want: 2 },
    {
      title: "a directory's symlink",
      files: ["lib -> usr/lib", "usr/lib/x"],
      path: "lib/x",
      want: 1,
    },
    {
      title: "an absolute directory's symlink",
      files: ["a/lib -> /b", "b/x"],
      path: "a/lib/x",
      want: 1,
    },
    {
      title: ".. behind a symlink as the kernel does",
      files: ["l -> a/b", "a/b/", "a/x", "x"],
      path: "l/../x",
      want: 2,
    },
    { title: "a hard link", files: ["f", "d/h = f"], path: "d/h", want: 0 },
    {
      title: "a hard link whose target is spelled otherwise",
      files: ["./f", "h = f"],
      path: "h",
      want: 0,
    },
    { title: "a hard link to a later entry", files: ["h = f", "f"], path: "h", want: 1 },
    {
      title: "a hard link to what had the name then",
      files: ["f", "h = f", "f"],
      path: "h",
      want: 0,
    },
    { title: "hard links in a row", files: ["f", "g = f", "h = g"], path: "h", want: 0 },
    {
      title: "a hard link to a symlink from its own place",
      files: ["a/l -> f", "b/h = a/l", "a/f", "b/f"],
      path: "b/h",
      want: 3,
    },
    {
      title: "a hard link through a directory's symlink",
      files: ["l -> d", "d/f", "h = l/f"],
      path: "h",
      want: 1,
    },
    { title: "nothing", files: ["a"], path: "b", want: "not-found" },
    { title: "nothing in no layer", files: [], path: "b", want: "not-found" },
    { title: "nothing behind a file", files: ["a"], path: "a/b", want: "not-found" },
    {
      title: "nothing where a symlink leads nowhere",
      files: ["l -> f"],
      path: "l",
      want: "not-found",
    },
    {
      title: "nothing where a hard link leads nowhere",
      files: ["h = f"],
      path: "h",
      want: "not-found",
    },
    {
      title: "no end in a loop of symlinks",
      files: ["a -> b", "b -> a"],
      path: "a",
      want: "failed-precondition",
    },
    {
      title: "no end in a symlink to itself",
      files: ["a -> a/x"],
      path: "a",
      want: "failed-precondition",
    },
    {
      title: "no end in a loop of hard links",
      files: ["a = b", "b = a"],
      path: "a",
      want: "failed-precondition",
    },
    {
      title: "no end in a hard link to itself",
      files: ["a = a"],
      path: "a",
      want: "failed-precondition",
    },
  ])("finds $title", ({ files, path, want }) => {
    expect(find(filesOf(...files), path)).toBe(want);
  });

  test("follows 40 links, and not 41", () => {
    const chain = Array.from({ length: 41 }, (_, i) => `l${i} -> l${i + 1}`);
    const files = filesOf(...chain, "l41");
    expect([find(files, "l1"), find(files, "l0")]).toEqual([41, "failed-precondition"]);
  });

  test("takes names as bytes, whether they are UTF-8 or not", () => {
    const files = [file({ name: Uint8Array.of(0x66, 0xff) }), file({ name: Buffer.from("fÿ") })];
    expect(findFile(files, "fÿ")).toBe(files[1] as FileMetadata);
  });

  test("ends with a file or a reason, whatever links there are", () => {
    const name = fc.constantFrom("a", "b", "c", "a/b", "b/c", "./c/a", "../a", "/b/../c", "");
    const line = fc.oneof(
      name,
      fc.tuple(name, fc.constantFrom(" -> ", " = "), name).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), name, (lines, path) => {
        const got = find(filesOf(...lines), path);
        expect(
          typeof got === "number" || got === "not-found" || got === "failed-precondition",
        ).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
