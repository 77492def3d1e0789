import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { leaseTable, TABLE_LOCK } from "../../src/cache/table-file.ts";
import { writeTable } from "../../src/cache/write-table.ts";
import { recordUnlock, tryRecordLock } from "../../src/sys/record-lock.ts";
import { tempDir } from "../support/temp-dir.ts";

test("leaseTable() finds no table that is just being removed", async () => {
  await using dir = await tempDir();
  const path = dir.join("table");
  await writeTable(path, new Uint8Array(10), { cacheRoot: dir.path });
  const fd = openSync(path, "r+");
  try {
    expect(tryRecordLock(fd, TABLE_LOCK, "exclusive")).toBe(true);
    expect(() => leaseTable(path)).toThrow(expect.objectContaining({ kind: "not-found" }));
    recordUnlock(fd, TABLE_LOCK);
    using _lease = leaseTable(path);
    expect(tryRecordLock(fd, TABLE_LOCK, "exclusive")).toBe(false);
  } finally {
    closeSync(fd);
  }
});
