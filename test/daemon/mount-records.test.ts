import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { keyByZtoc } from "../../src/cache/layer-key.ts";
import type { MountRecord } from "../../src/daemon/mount-record.ts";
import { MountRecords } from "../../src/daemon/mount-records.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { tempDir } from "../support/temp-dir.ts";

/** No mount has it: minor numbers have 20 bits. */
const DEVICE = "0:9999999";
const LAYER = digestOf("layer");
const ZTOC = digestOf("zTOC");

function recordAt(directory: string): MountRecord {
  return {
    directory,
    device: DEVICE,
    treeKey: "a".repeat(64),
    layers: [
      {
        mediaType: "application/x",
        digest: LAYER,
        size: 2 ** 40,
        cacheKey: keyByZtoc(LAYER, ZTOC),
      },
    ],
    negotiated: {
      minor: 45,
      kernelMinor: 45,
      flags: 0xffff_ffff,
      flags2: 128,
      maxReadahead: 1 << 20,
      maxRead: 1 << 20,
      maxBackground: 512,
    },
  };
}

describe("MountRecords", () => {
  test("reads what was put, until it is disposed of", async () => {
    await using temp = await tempDir();
    const records = new MountRecords(temp.path);
    {
      await using _record = await records.put(recordAt("/mnt/a"));
      expect(await records.read(DEVICE)).toEqual(recordAt("/mnt/a"));
    }
    await expect(records.read(DEVICE)).rejects.toMatchObject({ kind: "not-found" });
  });

  test("keeps the record of the mount that has got the device of one that is gone", async () => {
    await using temp = await tempDir();
    const records = new MountRecords(temp.path);
    const gone = await records.put(recordAt("/mnt/gone"));
    await using _next = await records.put(recordAt("/mnt/next"));
    await gone[Symbol.asyncDispose]();
    expect(await records.read(DEVICE)).toMatchObject({ directory: "/mnt/next" });
  });

  test("sweep() removes records of mounts that are no more, and nothing else", async () => {
    await using temp = await tempDir();
    const records = new MountRecords(temp.path);
    await records.sweep();
    await records.put(recordAt("/mnt/gone"));
    await Bun.write(join(temp.path, "mounts", "other.json"), "{}");
    await records.sweep();
    const names = await readdir(join(temp.path, "mounts"));
    expect(names.filter((name) => name.endsWith(".json"))).toEqual(["other.json"]);
  });

  test("read() refuses a damaged record", async () => {
    await using temp = await tempDir();
    const records = new MountRecords(temp.path);
    await records.put(recordAt("/mnt/a"));
    const path = join(temp.path, "mounts", `${DEVICE.replace(":", "-")}.json`);
    const text = await Bun.file(path).text();
    for (let length = 0; length < text.length - 2; length += 7) {
      await Bun.write(path, text.slice(0, length));
      await expect(records.read(DEVICE)).rejects.toMatchObject({ kind: "data-loss" });
    }
    for (const version of ["1", "3"]) {
      await Bun.write(path, text.replace('"version":2', `"version":${version}`));
      await expect(records.read(DEVICE)).rejects.toMatchObject({ kind: "unsupported" });
    }
  });

  test("read() refuses a name in the cache that is none of the layer", async () => {
    await using temp = await tempDir();
    const records = new MountRecords(temp.path);
    for (const cacheKey of [ZTOC, keyByZtoc(ZTOC, LAYER), "", "../x", undefined]) {
      const record = recordAt("/mnt/a");
      await records.put(record);
      const path = join(temp.path, "mounts", `${DEVICE.replace(":", "-")}.json`);
      const text = await Bun.file(path).text();
      const key = keyByZtoc(LAYER, ZTOC);
      const field = cacheKey === undefined ? "" : `,"cacheKey":"${cacheKey}"`;
      await Bun.write(path, text.replace(`,"cacheKey":"${key}"`, field));
      await expect(records.read(DEVICE)).rejects.toMatchObject({ kind: "data-loss" });
    }
  });
});
