import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { ensureCacheId, readCacheId } from "../../src/cache/cache-id.ts";
import { openLiveDirectory } from "../../src/cache/live-directory.ts";
import { tempDir } from "../support/temp-dir.ts";

test("ensureCacheId() names a cache once", async () => {
  await using dir = await tempDir();
  expect(readCacheId(dir.path)).toBeUndefined();
  const id = ensureCacheId(dir.path);
  expect(id).toMatch(/^[0-9a-f]{16}$/);
  expect(ensureCacheId(dir.path)).toBe(id);
  expect(readCacheId(dir.path)).toBe(id);
  expect(readdirSync(dir.path)).toEqual(["id"]);
});

test("ensureCacheId() names a cache anew whose name is damaged", async () => {
  await using dir = await tempDir();
  writeFileSync(dir.join("id"), "");
  const id = ensureCacheId(dir.path);
  expect(id).toMatch(/^[0-9a-f]{16}$/);
  expect(readCacheId(dir.path)).toBe(id);
});

test("openLiveDirectory() takes a cache that was made in the place of another for a new one", async () => {
  await using dir = await tempDir();
  const root = dir.join("cache");
  const memory = dir.join("memory");
  mkdirSync(root);
  mkdirSync(memory);
  const first = openLiveDirectory(root, memory);
  // As good as a new directory with an old inode number.
  rmSync(dir.join("cache", "id"));
  const second = openLiveDirectory(root, memory);
  expect(first).toBeDefined();
  expect(second).toBeDefined();
  expect(second).not.toBe(first);
});
