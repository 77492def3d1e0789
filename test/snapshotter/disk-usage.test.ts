import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { diskUsage } from "../../src/snapshotter/disk-usage.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

test("diskUsage() goes into directories, and not through links", async () => {
  await using dir = await tempDir();
  await mkdir(dir.join("a", "b", "c"), { recursive: true });
  for (let at = 0; at < 200; at += 1) await writeFile(dir.join("a", "b", `${at}`), "");
  await symlink("/usr", dir.join("a", "link"));
  expect((await diskUsage(dir.path)).inodes).toBe(205);
});

test("diskUsage() counts blocks of sparse files as they are", async () => {
  await using dir = await tempDir();
  const { truncateSync } = await import("node:fs");
  writeFileSync(dir.join("sparse"), "");
  truncateSync(dir.join("sparse"), 2 ** 33);
  expect((await diskUsage(dir.path)).size).toBeLessThan(1_000_000);
});

test("diskUsage() takes names that are no UTF-8", async () => {
  await using dir = await tempDir();
  const name = Buffer.concat([Buffer.from(dir.join("x")), Buffer.of(0xff, 0xfe)]);
  mkdirSync(name);
  writeFileSync(Buffer.concat([name, Buffer.from("/file")]), "content");
  expect((await diskUsage(dir.path)).inodes).toBe(3);
});

test("diskUsage() throws for a directory that is not there, and the signal's reason", async () => {
  await using dir = await tempDir();
  expect(await rejectionOf(diskUsage(dir.join("no")))).toMatchObject({ code: "ENOENT" });
  await writeFile(dir.join("file"), "");
  const signal = AbortSignal.abort(new Error("enough"));
  expect(await rejectionOf(diskUsage(dir.path, { signal }))).toMatchObject({ message: "enough" });
});
