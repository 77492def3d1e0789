import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  type ByteName,
  byteNameOf,
  byteNameOfText,
  bytesOfName,
  cleanPath,
  quoteName,
} from "../../src/tree/byte-name.ts";

test("byteNameOf() and bytesOfName() lose nothing of any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(new Uint8Array(bytesOfName(byteNameOf(bytes)))).toEqual(bytes);
    }),
  );
});

test("byteNameOf() sorts as the bytes do", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      const [left, right] = [byteNameOf(a), byteNameOf(b)];
      expect(left < right ? -1 : left > right ? 1 : 0).toBe(Buffer.compare(a, b));
    }),
  );
});

test("byteNameOfText() is UTF-8", () => {
  expect(byteNameOfText("é")).toBe("\u00c3\u00a9" as ByteName);
});

test("quoteName() shows UTF-8 and cuts what is long", () => {
  expect([quoteName(byteNameOfText("é")), quoteName("x".repeat(300)).length]).toEqual(['"é"', 203]);
});

test.each([
  { title: "empty and dot components", path: "./a//b/.", want: ["a", "b"] },
  { title: "an absolute path", path: "/a/b", base: ["x"], want: ["a", "b"] },
  { title: "a path from a base", path: "../c", base: ["a", "b"], want: ["a", "c"] },
  { title: "more .. than names", path: "a/../../../b", want: ["b"] },
  { title: "nothing", path: "", want: [] },
  { title: "only ..", path: "../..", want: [] },
])("cleanPath(): $title", ({ path, base, want }) => {
  const from: readonly string[] = base ?? [];
  expect(cleanPath(path as ByteName, from.map(byteNameOfText))).toEqual(want.map(byteNameOfText));
});
