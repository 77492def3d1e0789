import { block, concat, END, entry, latin1, padded, pax } from "../tar/tar-blocks.ts";

const SPARSE_1_0 = [
  ["GNU.sparse.major", "1"],
  ["GNU.sparse.minor", "0"],
  ["GNU.sparse.name", "sparse"],
  ["GNU.sparse.realsize", "4096"],
] as const;

/** An old GNU sparse header whose map goes on in blocks of its own. */
function oldSparse(): Uint8Array {
  const map = [0, 512, 1024, 512, 2048, 512, 3072, 512].map(
    (value, i) => ({ at: 386 + 12 * i, text: `${value.toString(8).padStart(11, "0")}\0` }) as const,
  );
  const more = { at: 482, text: "\u0001" };
  const size = { at: 483, text: `${(8192).toString(8).padStart(11, "0")}\0` };
  return concat([
    block({ type: "S", magic: "ustar  \0", size: 2048 + 512, patches: [...map, more, size] }),
    padded(
      latin1(`${(4096).toString(8).padStart(11, "0")}\0${(512).toString(8).padStart(11, "0")}\0`),
    ),
    new Uint8Array(2560),
  ]);
}

/** Archives of every kind of header that the scanner knows. */
export const TAR_SAMPLES: readonly Uint8Array[] = [
  concat([
    block({ name: "d/", type: "5", mode: 0o755 }),
    entry({ name: "d/file" }, "hello"),
    entry({ name: "d/big" }, "x".repeat(3000)),
    block({ name: "d/link", type: "2", linkname: "file" }),
    block({ name: "d/hard", type: "1", linkname: "d/file" }),
    block({ name: "d/null", type: "3" }),
    block({ name: "d/pipe", type: "6" }),
    END,
  ]),
  concat([
    pax([
      ["path", "p/ax"],
      ["mtime", "1600000000.123456789"],
      ["size", "5"],
      ["uid", "123456789"],
      ["SCHILY.xattr.user.a", "\u0000\u00ff"],
    ]),
    entry({}, "hello"),
    pax([["comment", "all"]], "g"),
    pax([["linkpath", "some/where"]]),
    block({ type: "2" }),
    END,
  ]),
  concat([
    entry({ type: "L", magic: "ustar  \0" }, `${"n".repeat(200)}\0`),
    entry({ type: "K", magic: "ustar  \0" }, `${"k".repeat(150)}\0`),
    block({ type: "1", magic: "ustar  \0" }),
    entry({ magic: "ustar  \0", prefix: "" }, "x".repeat(700)),
    oldSparse(),
    END,
  ]),
  concat([
    pax(SPARSE_1_0),
    entry({}, concat([padded(latin1("2\n0\n5\n1000\n7\n")), latin1("hello, world")])),
    pax([
      ["GNU.sparse.size", "4096"],
      ["GNU.sparse.numblocks", "2"],
      ["GNU.sparse.map", "0,5,1000,7"],
    ]),
    entry({}, "hello, world"),
    pax([
      ["GNU.sparse.size", "4096"],
      ["GNU.sparse.numblocks", "1"],
      ["GNU.sparse.offset", "10"],
      ["GNU.sparse.numbytes", "5"],
    ]),
    entry({}, "hello"),
    END,
  ]),
  concat([
    block({ name: "v7", magic: "" }),
    entry({ name: "prefixed", prefix: "some/dir" }, "abc"),
    block({ name: "base256", patches: [{ at: 124, text: "\u0080\0\0\0\0\0\0\0\0\0\u0002\0" }] }),
    new Uint8Array(512),
    block({ name: "star", prefix: "pre", patches: [{ at: 508, text: "tar\0" }] }),
    new Uint8Array(512),
  ]),
  new Uint8Array(10_240),
];
