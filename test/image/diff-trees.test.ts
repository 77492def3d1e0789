import { describe, expect, test } from "bun:test";
import { type DiffOptions, type DiffSide, diffTrees } from "../../src/image/diff-trees.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { directory, file, merged, symlink, type TocEntry } from "../tree/toc-entries.ts";

/** An image of layers whose digests follow from their names; layers of one name are one layer. */
function side(layers: Readonly<Record<string, TocEntry[]>>): DiffSide {
  return {
    tree: merged(...Object.values(layers)),
    layers: Object.keys(layers).map((name) => digestOf(Buffer.from(name))),
  };
}

/** `+ a`, `- b`, `~ c size mtime`, `? d` of all that is not the same. */
function diff(before: DiffSide, after: DiffSide, options?: DiffOptions): string[] {
  const signs = { added: "+", removed: "-", changed: "~", unverified: "?", same: "=" };
  return [...diffTrees(before, after, options)].flatMap((one) => {
    if (one.kind === "same") return [];
    const aspects = one.kind === "changed" ? one.aspects : [];
    return [[signs[one.kind], one.path, ...aspects].join(" ")];
  });
}

const BASE = [
  directory("etc"),
  file("etc/motd", { uncompressedSize: 5 }),
  symlink("bin", "usr/bin"),
];

describe("diffTrees()", () => {
  test("finds every path of two equal images the same", () => {
    const image = side({ base: BASE });
    const kinds = [...diffTrees(image, image)].map(({ kind, path }) => `${kind} ${path}`);
    expect(kinds).toEqual(["same ", "same bin", "same etc", "same etc/motd"]);
  });

  test("lists added and removed files with all that is below, directories first, by name", () => {
    const before = side({
      base: BASE,
      top: [directory("old"), file("old/x"), directory("old/sub"), file("old/sub/y")],
    });
    const after = side({
      base: BASE,
      other: [file("a"), directory("z"), file("z/2"), file("z/1")],
    });
    expect(diff(before, after)).toEqual([
      "+ a",
      "- old",
      "- old/sub",
      "- old/sub/y",
      "- old/x",
      "+ z",
      "+ z/1",
      "+ z/2",
    ]);
    expect(
      diff(after, before).map((line) => line.replace(/^[+-]/, (c) => (c === "+" ? "-" : "+"))),
    ).toEqual(diff(before, after));
  });

  test("knows a file of one layer and one entry to be the same", () => {
    expect(diff(side({ base: BASE }), side({ base: BASE, empty: [] }))).toEqual([]);
  });

  test("does not vouch for a file of the same size in another layer", () => {
    expect(diff(side({ base: BASE }), side({ rebuilt: BASE }))).toEqual(["? etc/motd"]);
  });

  test("does not vouch for another entry of the same layer", () => {
    const of = (first: string) => side({ base: [file(first, { uncompressedSize: 5 })] });
    const other = side({ base: [file("pad"), file("a", { uncompressedSize: 5 })] });
    expect(diff(of("a"), other)).toEqual(["? a", "+ pad"]);
  });

  test("takes files without content for the same wherever they lie", () => {
    expect(diff(side({ one: [file("empty")] }), side({ two: [file("empty")] }))).toEqual([]);
  });

  test.each([
    { title: "size", change: { uncompressedSize: 6 }, want: "content" },
    { title: "mode", change: { mode: 0o600 }, want: "mode" },
    { title: "uid", change: { uid: 7 }, want: "owner" },
    { title: "gid", change: { gid: 7 }, want: "owner" },
    { title: "mtime", change: { modTime: "2021-01-01T00:00:00Z" }, want: "mtime" },
    { title: "nanoseconds", change: { modTime: "2020-09-13T12:26:40.000000001Z" }, want: "mtime" },
    { title: "new xattr", change: { xattrs: { "SCHILY.xattr.user.a": "1" } }, want: "xattrs" },
  ])("sees another $title", ({ change, want }) => {
    const of = (more: Partial<TocEntry>) =>
      side({ base: [file("f", { uncompressedSize: 5, ...more })] });
    expect(diff(of({}), of(change))).toEqual([`~ f ${want}`]);
    expect(diff(of(change), of({}))).toEqual([`~ f ${want}`]);
  });

  test("sees an xattr's other value", () => {
    const of = (value: string) =>
      side({ base: [file("f", { xattrs: { "SCHILY.xattr.user.a": value } })] });
    expect(diff(of("1"), of("2"))).toEqual(["~ f xattrs"]);
  });

  test("sees another target, another device and another type", () => {
    const device = (devminor: bigint): TocEntry => ({
      name: "d",
      type: "char",
      devmajor: 1n,
      devminor,
    });
    const before = side({ base: [symlink("l", "a"), device(3n), file("t")] });
    const after = side({ base: [symlink("l", "b"), device(5n), directory("t"), file("t/x")] });
    expect(diff(before, after)).toEqual(["~ d device", "~ l target", "~ t type", "+ t/x"]);
  });

  test("names several aspects in one order, content after the type", () => {
    const of = (more: Partial<TocEntry>) => side({ base: [file("f", more)] });
    const after = of({ uncompressedSize: 1, mode: 0o600, uid: 1, modTime: "" });
    expect(diff(of({}), after)).toEqual(["~ f content mode owner mtime"]);
  });

  test("leaves out what is ignored, and still does not vouch for the content", () => {
    const of = (name: string, modTime: string) =>
      side({ [name]: [file("f", { uncompressedSize: 5, modTime })] });
    const [before, after] = [of("a", ""), of("b", "2021-01-01T00:00:00Z")];
    expect(diff(before, after, { ignore: ["mtime"] })).toEqual(["? f"]);
    expect(diff(before, after, { ignore: ["mtime", "content"] })).toEqual([]);
  });

  test("sees a file under a directory that a whiteout took away", () => {
    const before = side({ base: BASE });
    const after = side({ base: BASE, top: [file("etc/.wh.motd")] });
    expect(diff(before, after)).toEqual(["- etc/motd"]);
  });

  test("follows paths of thousands of names without recursion", () => {
    const deep = Array.from({ length: 2000 }, () => "d").join("/");
    const before = side({ base: [] });
    const after = side({ base: [file(`${deep}/f`)] });
    expect(diff(before, after)).toHaveLength(2001);
  });

  test("keeps names apart that are not UTF-8", () => {
    const of = (byte: number) => side({ base: [file(Uint8Array.of(0x61, byte))] });
    expect(diff(of(0xff), of(0xfe))).toEqual(["+ a\u00fe", "- a\u00ff"]);
  });
});
