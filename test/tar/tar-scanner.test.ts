import { describe, expect, test } from "bun:test";
import { TarScanner } from "../../src/tar/tar-scanner.ts";
import { failure, names, scan, text } from "./scan.ts";
import { block, concat, END, entry, pax, latin1, padded, withChecksum } from "./tar-blocks.ts";

function only(tar: Uint8Array) {
  const { entries } = scan(concat([tar, END]));
  const [first] = entries;
  if (first === undefined || entries.length !== 1) {
    throw new Error(`want one entry, got ${entries.length}`);
  }
  return first;
}

describe("TarScanner headers", () => {
  test("reports every field of a ustar header", () => {
    const header = block({
      name: "b",
      prefix: "a",
      mode: 0o4755,
      uid: 1,
      gid: 2,
      mtime: 5,
      type: "2",
      linkname: "to",
      uname: "u",
      gname: "g",
    });
    const found = only(header);
    expect([text(found.name), text(found.linkname)]).toEqual(["a/b", "to"]);
    expect([text(found.uname), text(found.gname)]).toEqual(["u", "g"]);
    expect(found).toMatchObject({
      typeflag: 0x32,
      size: 0,
      mode: 0o4755n,
      uid: 1n,
      gid: 2n,
      mtime: { seconds: 5n, nanoseconds: 0 },
      devmajor: 0n,
      devminor: 0n,
      pax: [],
      sparse: false,
      headerStart: 0,
      dataStart: 512,
      storedSize: 0,
    });
  });

  test("takes a signed checksum", () => {
    const header = block({ name: "\xe9" });
    const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
    header.set(latin1(`${(sum - 256).toString(8).padStart(6, "0")}\0 `), 148);
    expect(text(only(header).name)).toBe("\xe9");
  });

  test("refuses a wrong checksum and names the block", () => {
    const header = block();
    header[0] = 0x67;
    expect(failure(concat([entry({}, "x"), header, END]))).toMatchObject({
      kind: "data-loss",
      message: expect.stringContaining("byte 1024"),
    });
  });

  test("refuses a number that is neither octal nor base-256", () => {
    expect(failure(concat([block({ size: "00000000009\0" }), END]))).toMatchObject({
      kind: "data-loss",
    });
  });

  test("takes a header without magic for v7, which has no owner names", () => {
    expect(only(block({ magic: "", uname: "u", prefix: "p" }))).toMatchObject({
      name: latin1("file"),
      uname: new Uint8Array(0),
    });
  });

  test("takes the prefix of a GNU header for times, unless they are no numbers", () => {
    expect(text(only(block({ magic: "ustar  \0", prefix: "00000000001\0" })).name)).toBe("file");
    expect(text(only(block({ magic: "ustar  \0", prefix: "dir" })).name)).toBe("dir/file");
    expect(text(only(block({ magic: "ustar  \0", prefix: "d\xef" })).name)).toBe("file");
  });

  test("stops the prefix of a star header where its times begin", () => {
    const patches = [{ at: 508, text: "tar\0" }];
    expect(text(only(block({ prefix: "p".repeat(131), patches })).name)).toBe(
      `${"p".repeat(131)}/file`,
    );
  });

  test.each([
    { title: "a directory", name: "a/", typeflag: 0x35 },
    { title: "a file", name: "a", typeflag: 0x30 },
  ])("takes type NUL for $title by the end of its name", ({ name, typeflag }) => {
    expect(only(block({ name, type: "\0" })).typeflag).toBe(typeflag);
  });

  test("gives a directory no data, whatever its size", () => {
    const tar = concat([block({ type: "5", size: 4096 }), block({ name: "next" }), END]);
    expect(scan(tar).entries).toMatchObject([
      { size: 4096, storedSize: 0, dataStart: 512 },
      { headerStart: 512 },
    ]);
  });

  test("reports types that it does not know", () => {
    expect(only(entry({ type: "7" }, "data"))).toMatchObject({ typeflag: 0x37, size: 4 });
  });

  test("refuses a negative size", () => {
    const size = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    expect(failure(concat([block({ size }), END]))).toMatchObject({ kind: "data-loss" });
  });

  test("refuses a size of 2^53", () => {
    const size = "\x80\0\0\0\0\x20\0\0\0\0\0\0";
    expect(failure(concat([block({ size }), END]))).toMatchObject({
      kind: "data-loss",
      message: expect.stringContaining("2^53"),
    });
  });
});

describe("TarScanner extensions", () => {
  test("applies pax records to the next entry only", () => {
    const tar = concat([
      pax([
        ["path", "long"],
        ["uid", "3000000"],
        ["mtime", "1.5"],
      ]),
      entry({}, "x"),
      entry({ name: "next" }, "y"),
      END,
    ]);
    const [first, second] = scan(tar).entries;
    expect(first).toMatchObject({
      name: latin1("long"),
      uid: 3_000_000n,
      mtime: { seconds: 1n, nanoseconds: 500_000_000 },
      headerStart: 0,
      dataStart: 1536,
    });
    expect(second).toMatchObject({ name: latin1("next"), uid: 0n, pax: [], headerStart: 2048 });
  });

  test("takes the size from pax, and skips that many bytes", () => {
    const data = padded(latin1("x".repeat(600)));
    const tar = concat([pax([["size", "600"]]), block(), data, block({ name: "next" }), END]);
    expect(scan(tar).entries).toMatchObject([{ size: 600, storedSize: 600 }, { size: 0 }]);
  });

  test("keeps records with empty values but does not apply them", () => {
    const found = only(concat([pax([["path", ""]]), block()]));
    expect([text(found.name), found.pax.length]).toEqual(["file", 1]);
  });

  test("lets the last of two pax headers replace the first", () => {
    const found = only(concat([pax([["uname", "a"]]), pax([["gname", "b"]]), block()]));
    expect([text(found.uname), text(found.gname)]).toEqual(["", "b"]);
  });

  test.each([
    { title: "before", order: [0, 1] },
    { title: "after", order: [1, 0] },
  ])("prefers a GNU long name to a pax path that stands $title it", ({ order }) => {
    const extensions = [pax([["path", "pax"]]), entry({ type: "L" }, "gnu\0rest")];
    const found = only(concat([...order.map((i) => extensions[i] ?? END), block()]));
    expect(text(found.name)).toBe("gnu");
  });

  test("takes a long link name", () => {
    const link = "l".repeat(300);
    const tar = concat([entry({ type: "K" }, `${link}\0`), block({ type: "2", linkname: "l" })]);
    expect(text(only(tar).linkname)).toBe(link);
  });

  test("reports a global pax header as an entry and applies it to nothing", () => {
    const tar = concat([pax([["path", "all"]], "g"), block({ name: "next" }), END]);
    const [global, next] = scan(tar).entries;
    expect(global).toMatchObject({
      typeflag: 0x67,
      name: latin1("all"),
      size: 0,
      dataStart: 524,
      mtime: { seconds: -62_135_596_800n },
    });
    expect(text(next?.name)).toBe("next");
  });

  test("does not take type X for x", () => {
    expect(scan(concat([pax([["path", "a"]], "X"), END])).entries).toMatchObject([
      { typeflag: 0x58 },
    ]);
  });

  test("accepts a pax header that nothing follows", () => {
    expect(scan(concat([pax([["path", "a"]]), END]))).toMatchObject({
      entries: [],
      endOffset: 2048,
    });
  });

  test("accepts an empty extension", () => {
    expect(text(only(concat([entry({ type: "x" }), entry({ type: "L" }), block()])).name)).toBe(
      "file",
    );
  });

  test("refuses an extension of more than 1 MiB by its header alone", () => {
    const scanner = new TarScanner({ onEntry: () => undefined });
    expect(() => scanner.push(block({ type: "x", size: 1_048_577 }))).toThrow(/1048576/);
  });

  test("refuses a pax value that is no number", () => {
    expect(failure(concat([pax([["uid", "root"]]), block(), END]))).toMatchObject({
      kind: "data-loss",
      message: expect.stringContaining('uid is "root"'),
    });
  });
});

describe("TarScanner end of archive", () => {
  const file = entry({}, "data");

  test.each([
    { title: "two zero blocks", tail: END, endOffset: 2048 },
    { title: "two zero blocks and padding", tail: new Uint8Array(9216), endOffset: 2048 },
    { title: "two zero blocks and garbage", tail: concat([END, block()]), endOffset: 2048 },
    { title: "one zero block", tail: new Uint8Array(512), endOffset: 1536 },
    { title: "no zero block", tail: new Uint8Array(0), endOffset: 1024 },
  ])("accepts $title", ({ tail, endOffset }) => {
    expect(scan(concat([file, tail]))).toMatchObject({ entries: [{ size: 4 }], endOffset });
  });

  test("accepts missing padding after the last data", () => {
    expect(scan(file.subarray(0, 516)).endOffset).toBe(516);
    expect(scan(file.subarray(0, 700)).endOffset).toBe(700);
  });

  test("accepts an archive of nothing", () => {
    expect(scan(new Uint8Array(0))).toEqual({ entries: [], endOffset: 0 });
  });

  test.each([
    { title: "data that is cut", tar: file.subarray(0, 515) },
    { title: "a header without its data", tar: file.subarray(0, 512) },
    { title: "a header that is cut", tar: file.subarray(0, 100) },
    { title: "a second zero block that is cut", tar: concat([file, new Uint8Array(600)]) },
    { title: "a zero block and something else", tar: concat([file, new Uint8Array(512), file]) },
    { title: "an extension that is cut", tar: pax([["path", "abc"]]).subarray(0, 520) },
  ])("refuses $title", ({ tar }) => {
    expect(failure(tar)).toMatchObject({ kind: "data-loss" });
  });

  test("says that it is done and ignores what follows", () => {
    const scanner = new TarScanner({ onEntry: () => undefined });
    scanner.push(concat([file, END]));
    scanner.push(latin1("garbage".repeat(100)));
    scanner.finish();
    expect([scanner.done, scanner.endOffset]).toEqual([true, 2048]);
  });

  test("throws its first error again", () => {
    const scanner = new TarScanner({
      onEntry: () => {
        throw new Error("enough");
      },
    });
    expect(() => scanner.push(file)).toThrow("enough");
    expect(() => scanner.push(END)).toThrow("enough");
    expect(() => scanner.finish()).toThrow("enough");
  });
});

describe("TarScanner names", () => {
  test("reports names as they are", () => {
    const odd = ["./a", "../b", "/c", "d//e", "f\n", "g\\"];
    expect(names(concat([...odd.map((name) => block({ name })), END]))).toEqual(odd);
  });

  test("takes a name that fills its field", () => {
    const header = withChecksum(block({ name: "n".repeat(100) }));
    expect(text(only(header).name)).toBe("n".repeat(100));
  });
});
