import { describe, expect, test } from "bun:test";
import { failure, scan } from "./scan.ts";
import { block, concat, END, entry, latin1, padded, pax } from "./tar-blocks.ts";

describe("TarScanner sparse files", () => {
  const data = "d".repeat(512);
  const tail = concat([block({ name: "next" }), END]);
  const v1 = [
    ["GNU.sparse.major", "1"],
    ["GNU.sparse.minor", "0"],
    ["GNU.sparse.name", "real"],
    ["GNU.sparse.realsize", "4096"],
  ] as const;

  test("reads a pax 1.0 map, which stands before the data", () => {
    const map = padded(latin1("2\n0\n500\n4000\n12\n"));
    const tar = concat([pax(v1), entry({}, concat([map, latin1(data)])), tail]);
    expect(scan(tar).entries).toMatchObject([
      {
        name: latin1("real"),
        size: 4096,
        sparse: true,
        sparseExtents: [
          { offset: 0, length: 500 },
          { offset: 4000, length: 12 },
        ],
        dataStart: 2048,
        storedSize: 512,
      },
      { name: latin1("next"), sparse: false, sparseExtents: undefined },
    ]);
  });

  test("reads a pax 1.0 map of many blocks", () => {
    const runs = Array.from({ length: 200 }, (_, i) => ({ offset: 10 * i, length: 1 }));
    const map = padded(latin1(`200\n${runs.map((r) => `${r.offset}\n${r.length}\n`).join("")}`));
    const tar = concat([pax(v1), entry({}, concat([map, latin1("d".repeat(200))])), tail]);
    expect(scan(tar).entries[0]).toMatchObject({ sparseExtents: runs, storedSize: 200 });
  });

  test("reads a pax 0.1 map, which is a record", () => {
    const records = [
      ["GNU.sparse.size", "4096"],
      ["GNU.sparse.numblocks", "2"],
      ["GNU.sparse.map", "0,500,4000,0"],
    ] as const;
    expect(scan(concat([pax(records), entry({}, data), tail])).entries[0]).toMatchObject({
      size: 4096,
      sparseExtents: [{ offset: 0, length: 500 }],
      dataStart: 1536,
      storedSize: 512,
    });
  });

  test("reads an old GNU map with a block of its own", () => {
    const run = (offset: number) => `${offset.toString(8).padStart(11, "0")}\u000000000000001\0`;
    const header = block({
      type: "S",
      magic: "ustar  \0",
      size: 5,
      patches: [
        { at: 386, text: [0, 10, 20, 30].map(run).join("") },
        { at: 482, text: "\x01" },
        { at: 483, text: "00000010000\0" },
      ],
    });
    const more = padded(latin1(run(40)));
    const tar = concat([header, more, padded(latin1("abcde")), tail]);
    expect(scan(tar).entries).toMatchObject([
      {
        typeflag: 0x53,
        size: 4096,
        sparseExtents: [0, 10, 20, 30, 40].map((offset) => ({ offset, length: 1 })),
        dataStart: 1024,
        storedSize: 5,
      },
      { headerStart: 1536 },
    ]);
  });

  test("takes an unknown sparse version for an ordinary file", () => {
    const records = [
      ["GNU.sparse.major", "2"],
      ["GNU.sparse.minor", "0"],
    ] as const;
    expect(scan(concat([pax(records), entry({}, data), tail])).entries[0]).toMatchObject({
      sparse: false,
      size: 512,
    });
  });

  const broken = (map: string) => concat([pax(v1), entry({}, padded(latin1(map))), tail]);
  test.each([
    { title: "runs that overlap", tar: broken("2\n0\n10\n5\n10\n") },
    { title: "a run past the end", tar: broken("1\n4090\n10\n") },
    { title: "a negative run", tar: broken("1\n5\n-1\n") },
    { title: "a negative count", tar: broken("-1\n") },
    { title: "a count without its lines", tar: broken("99999999999\n1\n") },
    { title: "a line that is no number", tar: broken("1\n0\nx\n") },
    { title: "a map without data", tar: concat([pax(v1), block(), tail]) },
    {
      title: "a map of a directory",
      tar: concat([pax([...v1, ["GNU.sparse.map", "0,1"]]), block({ type: "5" }), tail]),
    },
    {
      title: "a map record of another length than it says",
      tar: concat([
        pax([
          ["GNU.sparse.numblocks", "2"],
          ["GNU.sparse.map", "0,1"],
        ]),
        entry({}, data),
        tail,
      ]),
    },
    { title: "an old map in a ustar header", tar: concat([entry({ type: "S" }, data), tail]) },
  ])("refuses $title", ({ tar }) => {
    expect(failure(tar)).toMatchObject({ kind: "data-loss" });
  });

  test("refuses an old map of more than 1 MiB", () => {
    const header = block({ type: "S", magic: "ustar  \0", patches: [{ at: 482, text: "\x01" }] });
    const more = padded(latin1(`${"0".repeat(24)}`.repeat(1)));
    more[504] = 1;
    expect(failure(concat([header, ...Array(2048).fill(more)]))).toMatchObject({
      kind: "data-loss",
    });
  });
});
