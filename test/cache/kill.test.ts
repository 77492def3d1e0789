import { expect, test } from "bun:test";
import { readdir, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { findDamage } from "../../src/cache/find-damage.ts";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import { LayerReader } from "../../src/cache/layer-reader.ts";
import { hexOf } from "../../src/oci/digest.ts";
import { tempDir } from "../support/temp-dir.ts";
import { layerSample, opened } from "./samples.ts";
import { openStrictCache } from "./shared-layer.ts";

const PROGRAM = join(import.meta.dirname, "fill-and-evict.ts");
const KILLS = 12;

async function removeLive(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (name.startsWith("sociable-")) await rm(join(root, name), { recursive: true });
  }
}

/** Reads every present span and compares it; which they are. */
function presentSpans(layer: CachedLayer, tar: Uint8Array): number[] {
  const { geometry } = layer;
  const reader = new LayerReader(layer.files);
  const bytes = new Uint8Array(tar.length);
  const present = Array.from({ length: geometry.spanCount }, (_, span) => span).filter(
    (span) => layer.isPresent(span) && geometry.uncompressedLength(span) > 0,
  );
  for (const span of present) {
    expect(findDamage(layer.files, span)).toBeUndefined();
    const start = geometry.uncompressedStart(span);
    const end = geometry.uncompressedEnd(span);
    expect(reader.read(start, end, bytes, 0)).toBe(end - start);
    expect(Buffer.compare(bytes.subarray(0, end - start), tar.subarray(start, end))).toBe(0);
  }
  return present;
}

test("a cache whose filler is killed at any moment opens, and holds no wrong byte", async () => {
  await using dir = await tempDir();
  const { digest, parts, tar } = layerSample({ size: 2_000_000, spanSize: 40_000 });
  await Bun.write(dir.join("tar"), tar);
  {
    await using cache = await openStrictCache(dir.path);
    await using _layer = await cache.createLayer(digest, parts);
  }
  let found = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const child = Bun.spawn(
      [process.execPath, PROGRAM, dir.path, hexOf(digest), `${kill}`, "1000000"],
      {
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    await child.stdout.getReader().read();
    await sleep(Math.random() * 60);
    expect(child.exitCode).toBeNull();
    child.kill("SIGKILL");
    await child.exited;
    // Every other time as after a boot: the durable map alone is left.
    if (kill % 2 === 1) await removeLive(dir.path);
    await using cache = await openStrictCache(dir.path);
    await using layer = await opened(cache, digest);
    found += presentSpans(layer, tar).length;
  }
  expect(found).toBeGreaterThan(KILLS);
});
