import { describe, expect, test } from "bun:test";
import { chooseFiles } from "../../scripts/demo-choice.ts";

const KiB = 1024;
const file = (path: string, size: number, layer: number) => ({ path, size, layer });

describe("chooseFiles()", () => {
  test("takes a small, a middle and a large file from different layers", () => {
    const chosen = chooseFiles([
      file("/0/small", 20 * KiB, 0),
      file("/0/middle", 1000 * KiB, 0),
      file("/1/middle", 1020 * KiB, 1),
      file("/1/small", 21 * KiB, 1),
      file("/2/large", 15_000 * KiB, 2),
    ]);
    expect(chosen.map(({ label, file: { path } }) => [label, path])).toEqual([
      ["small", "/0/small"],
      ["middle", "/1/middle"],
      ["large", "/2/large"],
    ]);
  });

  test("takes different files where there is one layer", () => {
    const chosen = chooseFiles([10, 20, 30].map((size) => file(`/${size}`, size * KiB, 0)));
    expect(new Set(chosen.map(({ file: { path } }) => path)).size).toBe(3);
  });

  test("takes nothing where there is nothing", () => {
    expect(chooseFiles([])).toEqual([]);
  });
});
