import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../../src/deflate");

/** Values of the `const NAME = 0x…` of a source. */
function constantsOf(file: string): Map<string, number> {
  const text = readFileSync(join(ROOT, file), "utf8");
  const found = text.matchAll(/const (\w+)(?:: \w+)? = (0x[0-9a-f]+|\d+);/g);
  return new Map([...found].map(([, name = "", value]) => [name, Number(value)]));
}

test.each(["INPUT", "INPUT_BYTES", "INPUT_PADDING", "OUTPUT", "OUTPUT_BYTES"])(
  "%s is the same for the core and for its host",
  (name) => {
    const core = constantsOf("assembly/layout.ts").get(name);
    expect(core).toBeGreaterThan(0);
    expect(constantsOf("wasm-engine.ts").get(name)).toBe(core ?? -1);
  },
);

test("the core's statuses are in the order in which its host lists them", () => {
  const statuses = [...constantsOf("assembly/status.ts")].filter(([name]) =>
    /^(NEED_INPUT|OUTPUT_FULL|BOUNDARY|END|NO_END|DISTANCE_TOO|BAD_)/.test(name),
  );
  expect(statuses.map(([, value]) => value)).toEqual(statuses.map((_, i) => i));
  const host = readFileSync(join(ROOT, "wasm-engine.ts"), "utf8");
  const faults = /FAULTS: readonly string\[\] = \[(.*?)\];/s.exec(host)?.[1]?.match(/"[^"]+"/g);
  expect(faults).toHaveLength(statuses.length - 4);
});

test("nothing of the core's memory overlaps", () => {
  const { INPUT, INPUT_BYTES, INPUT_PADDING, OUTPUT, OUTPUT_BYTES, OUTPUT_SLACK } =
    Object.fromEntries(constantsOf("assembly/layout.ts"));
  const headerReach = 700;
  expect((INPUT ?? 0) + (INPUT_BYTES ?? 0) + (INPUT_PADDING ?? 0) + headerReach).toBeLessThan(
    OUTPUT ?? 0,
  );
  expect((OUTPUT ?? 0) + 32_768 + (OUTPUT_BYTES ?? 0) + (OUTPUT_SLACK ?? 0)).toBeLessThan(
    8 * 65_536,
  );
});
