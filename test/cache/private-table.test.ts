import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { openPrivateTable } from "../../src/cache/private-table.ts";
import { mapTable } from "../../src/cache/table-file.ts";
import { writeTable } from "../../src/cache/write-table.ts";
import { rejectionOf } from "../support/failure.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { tempDir } from "../support/temp-dir.ts";

test("openPrivateTable() is not touched by what becomes of the table", async () => {
  await using dir = await tempDir();
  const content = sampleBytes(100_000);
  const path = dir.join("trees", "tree");
  await writeTable(path, content, { cacheRoot: dir.path });
  using table = await openPrivateTable(path, dir.path);
  const mapped = mapTable(table.path);
  writeFileSync(path, "other bytes");
  truncateSync(path, 0);
  expect(Buffer.compare(mapped, content)).toBe(0);
  expect(Buffer.compare(mapTable(table.path), content)).toBe(0);
  expect(readdirSync(dir.join("ingest"))).toEqual([]);
});

test("openPrivateTable() says that there is no table", async () => {
  await using dir = await tempDir();
  mkdirSync(dir.join("ingest"));
  expect(await rejectionOf(openPrivateTable(dir.join("none"), dir.path))).toMatchObject({
    kind: "not-found",
  });
  expect(readdirSync(dir.join("ingest"))).toEqual([]);
});
