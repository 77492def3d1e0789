import { expect, test } from "bun:test";
import { deflateSync } from "node:zlib";
import { adler32 } from "../../src/deflate/adler32.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

test.each([0, 1, 5551, 5552, 5553, 100_000])("adler32() is zlib's for %d bytes", (length) => {
  const bytes = sampleBytes(length);
  expect(adler32(bytes)).toBe(deflateSync(bytes).readUInt32BE(deflateSync(bytes).length - 4));
});

test("adler32() of the largest bytes does not overflow", () => {
  const bytes = Buffer.alloc(200_000, 0xff);
  expect(adler32(bytes)).toBe(deflateSync(bytes).readUInt32BE(deflateSync(bytes).length - 4));
});

test("adler32() goes on from an earlier value", () => {
  const bytes = sampleBytes(10_000);
  expect(adler32(bytes.subarray(3000), adler32(bytes.subarray(0, 3000)))).toBe(adler32(bytes));
});
