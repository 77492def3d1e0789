import { expect, test } from "bun:test";
import { LayerDraft } from "../../src/cache/layer-draft.ts";
import { LayerReader } from "../../src/cache/layer-reader.ts";
import { SpanWriter } from "../../src/cache/span-writer.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { writeTable } from "../../src/cache/write-table.ts";
import { tempDir } from "../support/temp-dir.ts";
import { claimOf, fill, layerSample, wholeSample } from "./samples.ts";

const isRoot = process.geteuid?.() === 0;
const MIB = 1 << 20;

/** A file system of its own, so small. */
function smallDisk(path: string, bytes: number): Disposable {
  run("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path);
  return { [Symbol.dispose]: () => run("umount", "-l", path) };
}

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
}

function onSmallDisk(title: string, check: (root: string) => Promise<void>): void {
  test.skipIf(!isRoot)(isRoot ? title : `${title} (needs root)`, async () => {
    await using dir = await tempDir();
    using _disk = smallDisk(dir.path, 4 * MIB);
    await check(dir.path);
  });
}

onSmallDisk(
  "SpanWriter.write() is false when the disk is full, and what is there stays",
  async (root) => {
    const { digest, parts, tar } = layerSample({
      size: 6 * MIB,
      spanSize: MIB,
      algorithm: "uncompressed",
    });
    await using cache = await LayerCache.open({
      root,
      sharedMemory: `${root}/nothing`,
      log: NO_LOG,
    });
    await using layer = await cache.createLayer(digest, parts);
    expect(fill(layer, 0, tar)).toBe(true);
    let full: number | undefined;
    for (let span = 1; full === undefined && span < 6; span++) {
      using claim = claimOf(layer, span);
      const writer = new SpanWriter(layer.files, span);
      if (writer.write(tar.subarray(span * MIB, (span + 1) * MIB))) claim?.markPresent();
      else full = span;
    }
    expect(full).toBeDefined();
    expect(layer.isPresent(full ?? 0)).toBe(false);
    const bytes = new Uint8Array(MIB);
    expect(new LayerReader(layer.files).read(0, MIB, bytes, 0)).toBe(MIB);
    expect(Buffer.compare(bytes, tar.subarray(0, MIB))).toBe(0);
    await layer.flush();
  },
);

onSmallDisk("LayerDraft and writeTable() fail on a full disk and leave nothing", async (root) => {
  const whole = wholeSample(6 * MIB);
  await using cache = await LayerCache.open({ root, sharedMemory: `${root}/nothing`, log: NO_LOG });
  {
    await using draft = await LayerDraft.create(cache.root, whole.digest);
    expect(() => draft.append(whole.tar)).toThrow(
      expect.objectContaining({ kind: "failed-precondition" }),
    );
  }
  const write = writeTable(`${cache.root}/trees/x`, whole.tar, { cacheRoot: cache.root });
  await expect(write).rejects.toMatchObject({ kind: "failed-precondition" });
  const tooBig = { ...whole.parts, inodes: whole.tar };
  await expect(cache.createLayer(whole.digest, tooBig)).rejects.toMatchObject({
    kind: "failed-precondition",
  });
  await using layer = await cache.createLayer(whole.digest, whole.parts);
  expect(layer.presentBytes).toBe(0);
});
