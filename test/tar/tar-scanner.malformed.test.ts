import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isKind } from "../../src/errors.ts";
import { scan } from "./scan.ts";
import { block, concat, END, entry, latin1, padded, pax, withChecksum } from "./tar-blocks.ts";

/** One of everything. */
const TAR = concat([
  pax([
    ["path", "a"],
    ["SCHILY.xattr.user.x", "\xff"],
  ]),
  entry({}, "hello"),
  entry({ type: "L", magic: "ustar  \0" }, `${"n".repeat(200)}\0`),
  entry({ magic: "ustar  \0" }, "x".repeat(700)),
  pax([
    ["GNU.sparse.major", "1"],
    ["GNU.sparse.minor", "0"],
    ["GNU.sparse.realsize", "4096"],
  ]),
  entry({}, concat([padded(latin1("1\n0\n5\n")), latin1("12345")])),
  block({ type: "5", name: "d/" }),
  END,
]);

/** How many entries there are before the end, or before damage is found. */
function outcome(tar: Uint8Array, chunkBytes?: () => number): "whole" | "damaged" {
  try {
    scan(tar, chunkBytes === undefined ? {} : { chunkBytes });
    return "whole";
  } catch (error) {
    if (!isKind(error, "data-loss")) {
      throw error;
    }
    return "damaged";
  }
}

describe("TarScanner with damaged archives", () => {
  test("reads or refuses an archive that is cut at any byte", () => {
    const outcomes = Array.from(TAR, (_, length) => outcome(TAR.subarray(0, length)));
    expect(new Set(outcomes)).toEqual(new Set(["whole", "damaged"]));
  });

  test("reads or refuses an archive with any byte changed and its checksum made right", () => {
    fc.assert(
      fc.property(fc.nat(TAR.length / 512 - 1), fc.nat(511), fc.nat(255), (at, byte, value) => {
        const tar = TAR.slice();
        tar[at * 512 + byte] = value;
        withChecksum(tar.subarray(at * 512, at * 512 + 512));
        expect(["whole", "damaged"]).toContain(outcome(tar));
      }),
      { numRuns: 2000 },
    );
  });

  test("reads or refuses any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        expect(["whole", "damaged"]).toContain(outcome(bytes));
      }),
    );
  });

  test("finds the same entries however the archive is cut into chunks", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.integer({ min: 1, max: 1500 })), (sizes) => {
        const chunkBytes = () => sizes.next().value ?? 1;
        expect(scan(TAR, { chunkBytes })).toEqual(scan(TAR));
      }),
    );
  });
});
