import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { isRecordLocked, recordUnlock, tryRecordLock } from "../../src/sys/record-lock.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";

const RECORD_LOCK = join(import.meta.dirname, "../../src/sys/record-lock.ts");
const RANGE = { start: 2 ** 40, end: 2 ** 40 + 3 };

/** The lock file opened so many times. */
function openings(dir: TempDir, count: number) {
  const fds = Array.from({ length: count }, () => openSync(dir.join("lock"), "a+"));
  return {
    fds: [fds[0] ?? -1, fds[1] ?? -1] as const,
    [Symbol.dispose]: () => {
      for (const fd of fds) closeSync(fd);
    },
  };
}

test("tryRecordLock() excludes another opening in the same process", async () => {
  await using dir = await tempDir();
  using opened = openings(dir, 2);
  const [a, b] = opened.fds;
  expect(tryRecordLock(a, RANGE, "shared")).toBe(true);
  expect(tryRecordLock(b, RANGE, "shared")).toBe(true);
  expect(tryRecordLock(a, RANGE, "exclusive")).toBe(false);
  recordUnlock(b, RANGE);
  expect(tryRecordLock(a, RANGE, "exclusive")).toBe(true);
  expect(tryRecordLock(b, { start: 2 ** 40 + 2, end: 2 ** 41 }, "shared")).toBe(false);
  expect(tryRecordLock(b, { start: 2 ** 40 + 3, end: 2 ** 41 }, "exclusive")).toBe(true);
  expect(isRecordLocked(b, RANGE)).toBe(true);
  expect(isRecordLocked(a, RANGE)).toBe(false);
});

test("tryRecordLock() is given up when the process that holds it is killed", async () => {
  await using dir = await tempDir();
  using opened = openings(dir, 1);
  const [fd] = opened.fds;
  const program = `
    import { openSync } from "node:fs";
    import { tryRecordLock } from ${JSON.stringify(RECORD_LOCK)};
    const fd = openSync(${JSON.stringify(dir.join("lock"))}, "a+");
    process.stdout.write(String(tryRecordLock(fd, ${JSON.stringify(RANGE)}, "exclusive")));
    setInterval(() => undefined, 1000);
  `;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
  const { value } = await child.stdout.getReader().read();
  expect(Buffer.from(value ?? []).toString()).toBe("true");
  expect(tryRecordLock(fd, RANGE, "shared")).toBe(false);
  child.kill("SIGKILL");
  await child.exited;
  expect(tryRecordLock(fd, RANGE, "shared")).toBe(true);
});

test("tryRecordLock() says when a descriptor is none", () => {
  expect(() => tryRecordLock(-1, RANGE, "shared")).toThrow(
    expect.objectContaining({ kind: "failed-precondition" }),
  );
});
