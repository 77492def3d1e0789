import { describe, expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { TableNumbers } from "../../src/daemon/table-numbers.ts";
import { MAX_TABLES } from "../../src/lazyfs/node-id.ts";
import { createLogger, type LogRecord, NO_LOG } from "../../src/observability/log.ts";
import { failureOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

const FILE = "mounts/table-numbers.json";

describe("TableNumbers", () => {
  test("gives the same content the same number, also in the next process", async () => {
    await using temp = await tempDir();
    const numbers = TableNumbers.open({ root: temp.path, log: NO_LOG });
    expect(["a", "b", "a", "c"].map((key) => numbers.numberOf(key))).toEqual([1, 2, 1, 3]);
    const next = TableNumbers.open({ root: temp.path, log: NO_LOG });
    expect(["c", "d", "a"].map((key) => next.numberOf(key))).toEqual([3, 4, 1]);
  });

  test("has written a number down before it is used", async () => {
    await using temp = await tempDir();
    const numbers = TableNumbers.open({ root: temp.path, log: NO_LOG });
    for (let i = 0; i < 5; i++) {
      const number = numbers.numberOf(`layer ${i}`);
      expect(await Bun.file(temp.join(FILE)).json()).toMatchObject({ next: number + 1 });
    }
  });

  test("forgets what is long ago, and never gives its number again", async () => {
    await using temp = await tempDir();
    const numbers = TableNumbers.open({ root: temp.path, log: NO_LOG });
    const given = new Set<number>();
    for (let i = 0; i < 2100; i++) {
      const number = numbers.numberOf(`layer ${i}`);
      given.add(number);
      numbers.release(number);
    }
    expect(given.size).toBe(2100);
    expect(numbers.numberOf("layer 0")).toBe(2101);
    expect(numbers.numberOf("layer 2099")).toBe(2100);
    expect(Bun.file(temp.join(FILE)).size).toBeLessThan(100_000);
    const next = TableNumbers.open({ root: temp.path, log: NO_LOG });
    expect(next.numberOf("another")).toBe(2102);
  });

  test("forgets nothing that is held, and all else first", async () => {
    await using temp = await tempDir();
    const numbers = TableNumbers.open({ root: temp.path, log: NO_LOG });
    numbers.numberOf("held");
    numbers.release(numbers.numberOf("held"));
    for (let i = 0; i < 2100; i++) numbers.release(numbers.numberOf(`layer ${i}`));
    const next = TableNumbers.open({ root: temp.path, log: NO_LOG });
    expect(next.numberOf("held")).toBe(1);
    expect(next.numberOf("layer 0")).toBe(2102);
  });

  test("takes as many as are held", async () => {
    await using temp = await tempDir();
    const numbers = TableNumbers.open({ root: temp.path, log: NO_LOG });
    for (let i = 0; i < 2100; i++) numbers.numberOf(`layer ${i}`);
    const next = TableNumbers.open({ root: temp.path, log: NO_LOG });
    expect(next.numberOf("layer 0")).toBe(1);
  });

  test("begins anew when no mount lives, and keeps off what is reserved", async () => {
    await using temp = await tempDir();
    TableNumbers.open({ root: temp.path, log: NO_LOG }).numberOf("a");
    const fresh = TableNumbers.open({ root: temp.path, isFresh: true, log: NO_LOG });
    fresh.reserve(41);
    fresh.reserve(7);
    expect(fresh.numberOf("b")).toBe(42);
  });

  test("says when there are no more", async () => {
    await using temp = await tempDir();
    const numbers = TableNumbers.open({ root: temp.path, log: NO_LOG });
    numbers.reserve(MAX_TABLES - 2);
    expect(numbers.numberOf("last")).toBe(MAX_TABLES - 1);
    expect(failureOf(() => numbers.numberOf("more"))).toMatchObject({ kind: "unsupported" });
    expect(numbers.numberOf("last")).toBe(MAX_TABLES - 1);
  });

  test("goes on elsewhere, and says so, when the file is damaged in any place", async () => {
    await using temp = await tempDir();
    const numbers = TableNumbers.open({ root: temp.path, log: NO_LOG });
    for (const key of ["a", "b"]) numbers.numberOf(key);
    const text = await Bun.file(temp.join(FILE)).text();
    const damaged = [
      ...Array.from({ length: text.length - 2 }, (_, length) => text.slice(0, length)),
      text.replace(" 2", " 1"),
      text.replace(" 2", " 9"),
      text.replace(" 2", " 1.5"),
      text.replace('"next":3', '"next":0'),
      text.replace('"next":3', '"next":99999999'),
      "null",
    ];
    for (const bytes of damaged) {
      const records: LogRecord[] = [];
      const log = createLogger({ sink: (record) => records.push(record) });
      await Bun.write(temp.join(FILE), bytes);
      const next = TableNumbers.open({ root: temp.path, log });
      expect({ bytes, next: next.next }).toEqual({ bytes, next: MAX_TABLES / 2 });
      expect(records).toMatchObject([{ level: "warn" }]);
    }
    await Bun.write(temp.join(FILE), text.replace('"version":1', '"version":2'));
    expect(failureOf(() => TableNumbers.open({ root: temp.path, log: NO_LOG }))).toMatchObject({
      kind: "unsupported",
    });
  });

  test("gives no number that it cannot write down", async () => {
    await using temp = await tempDir();
    const numbers = TableNumbers.open({ root: temp.path, log: NO_LOG });
    await mkdir(temp.join(`${FILE}.${process.pid}`), { recursive: true });
    expect(failureOf(() => numbers.numberOf("a"))).toMatchObject({ kind: "failed-precondition" });
  });
});
