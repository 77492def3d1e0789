import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { treesDirectory } from "../../src/cache/cache-paths.ts";
import { ManifestMemory } from "../../src/image/manifest-memory.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { tempDir } from "../support/temp-dir.ts";

const bytes = new TextEncoder().encode('{"schemaVersion":2}');
const digest = digestOf(bytes);

test("ManifestMemory keeps a manifest, and gives it back as long as it is what it was", async () => {
  await using root = await tempDir();
  const memory = new ManifestMemory(root.path);
  expect(memory.read(digest)).toBeUndefined();
  await memory.keep(digest, bytes);
  await memory.keep(digest, bytes);
  expect(memory.read(digest)).toEqual(bytes);
  const [name] = await readdir(treesDirectory(root.path));
  await Bun.write(`${treesDirectory(root.path)}/${name}`, "damaged");
  expect(memory.read(digest)).toBeUndefined();
  await memory.keep(digest, bytes);
  expect(memory.read(digest)).toEqual(bytes);
});

test("ManifestMemory gives no bytes that are not those of the digest", async () => {
  await using root = await tempDir();
  const memory = new ManifestMemory(root.path);
  await memory.keep(digest, new Uint8Array(10));
  expect(memory.read(digest)).toBeUndefined();
});
