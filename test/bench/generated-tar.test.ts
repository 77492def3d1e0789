import { describe, expect, test } from "bun:test";
import { scan, text } from "../tar/scan.ts";
import { noiseTar, tinyFilesTar } from "./generated-tar.ts";

describe("tinyFilesTar()", () => {
  test("makes so many files of different names, over more than one chunk", () => {
    const { entries } = scan(Buffer.concat([...tinyFilesTar(1500)]));
    expect(entries).toHaveLength(1500);
    expect(new Set(entries.map(({ name }) => text(name))).size).toBe(1500);
  });
});

describe("noiseTar()", () => {
  test("makes files of a MiB in the folder", () => {
    const { entries } = scan(Buffer.concat([...noiseTar("noise", 2)]));
    expect(entries.map(({ name, size }) => ({ name: text(name), size }))).toEqual([
      { name: "noise/noise-0.bin", size: 1024 * 1024 },
      { name: "noise/noise-1.bin", size: 1024 * 1024 },
    ]);
  });
});
