import { expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { inflateAll, pakoInflateAll } from "./inflate-all.ts";

const SMALL = new Uint8Array(10);
const LARGE = Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * i) % 251);
const MEMBERS = Buffer.concat([gzipSync(LARGE), gzipSync(SMALL), gzipSync(LARGE, { level: 0 })]);

test.each([
  {
    title: "inflateAll() with WasmEngine",
    inflate: (file: Uint8Array) => inflateAll(new WasmEngine(), file),
  },
  {
    title: "inflateAll() with PakoEngine",
    inflate: (file: Uint8Array) => inflateAll(new PakoEngine(), file),
  },
  { title: "pakoInflateAll()", inflate: pakoInflateAll },
])("$title counts the output of all members", ({ inflate }) => {
  expect(inflate(MEMBERS)).toBe(2 * LARGE.length + SMALL.length);
});
