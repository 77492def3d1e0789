import { describe, expect, test } from "bun:test";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { IngestRoom } from "../../src/image/ingest-room.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const MIB = 1 << 20;
const layer = digestOf("layer");

/** With its account in the directory: nothing is left of that of one that was there before. */
async function openCache(root: TempDir, capBytes: number): Promise<LayerCache> {
  const sharedMemory = root.join("shm");
  return await LayerCache.open({ root: root.path, capBytes, sharedMemory, log: NO_LOG });
}

describe("IngestRoom", () => {
  test("reserves in steps, and gives back what was not kept", async () => {
    await using root = await tempDir();
    await using cache = await openCache(root, 1024 * MIB);
    {
      using room = new IngestRoom({ cache, layer });
      await room.grow(0);
      expect(await cache.usedBytes()).toBe(64 * MIB);
      await room.grow(60 * MIB);
      expect(await cache.usedBytes()).toBe(128 * MIB);
      room.keep();
    }
    expect(await cache.usedBytes()).toBe(64 * MIB);
  });

  test("takes what there is when a whole step does not fit", async () => {
    await using root = await tempDir();
    await using cache = await openCache(root, 70 * MIB);
    using room = new IngestRoom({ cache, layer });
    await room.grow(60 * MIB);
    await room.grow(69 * MIB);
    await expect(room.grow(71 * MIB)).rejects.toMatchObject({ kind: "failed-precondition" });
  });
});
