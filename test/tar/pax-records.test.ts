import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodePaxRecords, sortedRecords } from "../../src/tar/pax-records.ts";
import { text } from "./scan.ts";
import { latin1, paxRecord } from "./tar-blocks.ts";

function decoded(body: string): readonly (readonly [string | undefined, string | undefined])[] {
  return sortedRecords(decodePaxRecords(latin1(body), 0)).map(({ key, value }) => [
    text(key),
    text(value),
  ]);
}

function failure(body: string): unknown {
  try {
    decoded(body);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("decodePaxRecords()", () => {
  test("keeps the last of equal keys, sorted by bytes", () => {
    const body = paxRecord("b", "1") + paxRecord("B", "2") + paxRecord("b", "3");
    expect(decoded(body)).toEqual([
      ["B", "2"],
      ["b", "3"],
    ]);
  });

  test("keeps bytes that are not UTF-8, newlines and equals signs in values", () => {
    expect(decoded(paxRecord("SCHILY.xattr.x", "\xff\n=\0"))).toEqual([
      ["SCHILY.xattr.x", "\xff\n=\0"],
    ]);
  });

  test("joins the runs of sparse format 0.0 into one map", () => {
    const run = (offset: string, bytes: string) =>
      paxRecord("GNU.sparse.offset", offset) + paxRecord("GNU.sparse.numbytes", bytes);
    expect(decoded(run("0", "5") + run("", "7"))).toEqual([["GNU.sparse.map", "0,5,,7"]]);
  });

  test.each([
    { title: "no space", body: "12345" },
    { title: "a length that is no number", body: "1x a=b\n" },
    { title: "a length below 5", body: "4 a\n" },
    { title: "a length beyond the body", body: "99 a=b\n" },
    { title: "a length inside its own digits", body: `${"0".repeat(20)}7 a=b\n` },
    { title: "no newline", body: "6 a=b " },
    { title: "no equals sign", body: "6 abc\n" },
    { title: "no key", body: "6 =bc\n" },
    { title: "a NUL in a key", body: paxRecord("a\0", "b") },
    { title: "a NUL in a path", body: paxRecord("path", "a\0") },
    { title: "sparse runs out of order", body: paxRecord("GNU.sparse.numbytes", "5") },
    { title: "a comma in a sparse run", body: paxRecord("GNU.sparse.offset", "5,6") },
  ])("refuses $title", ({ body }) => {
    expect(failure(body)).toMatchObject({ kind: "data-loss" });
  });

  test("gives any records back", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "é", "\n", " ", "9"), minLength: 1 });
    fc.assert(
      fc.property(fc.array(fc.tuple(word, word)), (pairs) => {
        const body = pairs.map(([key, value]) => paxRecord(key, value)).join("");
        const want = [...new Map(pairs)].sort(([a], [b]) => (a < b ? -1 : 1));
        expect(decoded(body)).toEqual(want);
      }),
    );
  });

  test("refuses or reads any bytes, and throws nothing but data-loss", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (body) => {
        expect([undefined, "data-loss"]).toContain((failure(body) as { kind?: string })?.kind);
      }),
    );
  });
});
