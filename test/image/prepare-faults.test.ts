import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheRootOf, ingestDirectory, layerDirectory } from "../../src/cache/cache-paths.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { rejectionOf } from "../support/failure.ts";
import { buildLayer, buildTar, imageOf, layerOf } from "../support/image-builder.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { tempDir } from "../support/temp-dir.ts";
import { placeImage } from "./opened-image.ts";
import { prepare } from "./prepared-image.ts";
import { blobOf, blobsAsked, image, lower, upper } from "./prepare-samples.ts";
import { smallDisk } from "./small-disk.ts";

const impossible = await buildLayer({
  entries: [
    { name: "a", content: "1" },
    { name: "a/b", content: "a file is in its way" },
  ],
});

describe("prepareImage()", () => {
  test.each([
    { title: "is cut off", layer: { ...lower, ...blobOf(lower.bytes.subarray(0, 5000)) } },
    { title: "is damaged", layer: { ...lower, ...blobOf(damaged(lower.bytes)) } },
    { title: "holds a damaged tar", layer: layerOf(damaged(lower.tar, 100), "zstd") },
    { title: "holds a tar that is cut off", layer: layerOf(lower.tar.subarray(0, 5000)) },
    { title: "holds what no unpacker takes", layer: impossible },
  ])("refuses a layer that $title and leaves nothing behind", async ({ layer }) => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([layer]));
    const { digest } = layer.descriptor;
    expect(await rejectionOf(prepare(root.path, placed.name))).toMatchObject({
      kind: "data-loss",
      message: expect.stringContaining(digest),
    });
    expect(await leftOvers(root.path)).toEqual([]);
  });

  test("refuses a layer whose diff ID is not that of the config", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([{ ...lower, tar: upper.tar }]));
    expect(await rejectionOf(prepare(root.path, placed.name))).toMatchObject({
      kind: "data-loss",
      message: expect.stringContaining("diff ID"),
    });
    expect(await leftOvers(root.path)).toEqual([]);
  });

  test("refuses a config that names other than as many layers", async () => {
    await using root = await tempDir();
    const { config } = imageOf([lower, upper]);
    const short = imageOf([lower]);
    const { length: size } = config.bytes;
    const manifest = Buffer.from(
      JSON.stringify({
        ...JSON.parse(Buffer.from(short.manifest).toString()),
        config: { ...short.config.descriptor, digest: digestOf(config.bytes), size },
      }),
    );
    const descriptor = {
      ...short.descriptor,
      digest: digestOf(manifest),
      size: manifest.length,
    };
    await using placed = await placeImage({ ...short, config, manifest, descriptor });
    expect(await rejectionOf(prepare(root.path, placed.name))).toMatchObject({ kind: "data-loss" });
  });

  test("fetches a layer once more, past caches, whose bytes were wrong on the way", async () => {
    await using root = await tempDir();
    const big = layerOf(await buildTar([{ name: "a", content: randomBytes(6 << 20) }]));
    await using placed = await placeImage(imageOf([big]));
    placed.registry.corruptNext(1, { at: 3 << 20, path: new RegExp(big.descriptor.digest) });
    await using prepared = await prepare(root.path, placed.name);
    expect(prepared.data(0)?.equals(big.tar)).toBe(true);
  });

  test("blames the source for bytes that stay wrong, and leaves nothing behind", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([lower]));
    placed.registry.corruptNext(100, { at: 1000, path: new RegExp(lower.descriptor.digest) });
    expect(await rejectionOf(prepare(root.path, placed.name))).toMatchObject({
      kind: "data-loss",
      message: expect.stringContaining("digest"),
    });
    expect(await leftOvers(root.path)).toEqual([]);
  });

  test("leaves nothing behind when it is stopped in the middle of a layer", async () => {
    await using root = await tempDir();
    const big = layerOf(await buildTar([{ name: "a", content: randomBytes(30 << 20) }]), "none");
    await using placed = await placeImage(imageOf([big]));
    const stop = new AbortController();
    const reason = new Error("enough");
    const prepared = prepare(root.path, placed.name, {
      signal: stop.signal,
      onBytes: () => stop.abort(reason),
    });
    expect(await rejectionOf(prepared)).toBe(reason);
    expect(await leftOvers(root.path)).toEqual([]);
  });

  test.each(["inodes", "entries", "geometry"])(
    "makes a layer again whose file %s is damaged",
    async (file) => {
      await using root = await tempDir();
      await using placed = await placeImage(image);
      const before = await prepare(root.path, placed.name);
      await before[Symbol.asyncDispose]();
      const { digest } = lower.descriptor;
      const path = join(layerDirectory(cacheRootOf(root.path), digest), file);
      const bytes = await readFile(path);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff;
      await writeFile(path, bytes);
      // Entries are read only when a tree is made.
      if (file === "entries") await truncate(before.treePath, 10);
      await using again = await prepare(root.path, placed.name);
      expect(again.names()).toEqual(["a", "b"]);
      expect(again.data(0)?.equals(lower.tar)).toBe(true);
    },
  );

  test("makes a tree again that is damaged, without the network", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const before = await prepare(root.path, placed.name);
    await before[Symbol.asyncDispose]();
    await truncate(before.treePath, 100);
    placed.registry.clearRequests();
    await using again = await prepare(root.path, placed.name);
    expect(placed.registry.requests).toHaveLength(1);
    expect(again.names()).toEqual(["a", "b"]);
  });

  test("reads a layer once for two that want it at the same time", async () => {
    await using root = await tempDir();
    const big = layerOf(await buildTar([{ name: "a", content: randomBytes(10 << 20) }]));
    await using placed = await placeImage(imageOf([big]));
    const both = await Promise.all([
      prepare(root.path, placed.name),
      prepare(root.path, placed.name),
    ]);
    for (const one of both) {
      expect(one.data(0)?.equals(big.tar)).toBe(true);
      await one[Symbol.asyncDispose]();
    }
    const { digest } = big.descriptor;
    expect(blobsAsked(placed.registry.requests).filter((name) => name === digest)).toHaveLength(1);
  });
});

describe("prepareImage()", () => {
  test("reads a layer once for two processes that want it at the same time", async () => {
    await using root = await tempDir();
    const big = layerOf(await buildTar([{ name: "a", content: randomBytes(10 << 20) }]));
    await using placed = await placeImage(imageOf([big]));
    const both = await Promise.all([0, 1].map(() => prepareElsewhere(root.path, placed.name)));
    expect(both.map(({ isWhole }) => isWhole)).toEqual([true, true]);
    const { digest } = big.descriptor;
    expect(blobsAsked(placed.registry.requests).filter((name) => name === digest)).toHaveLength(1);
  });

  test("goes on after a process that was killed in the middle of a layer", async () => {
    await using root = await tempDir();
    const big = layerOf(await buildTar([{ name: "a", content: randomBytes(8 << 20) }]));
    await using placed = await placeImage(imageOf([big]));
    await using proxy = await LatencyProxy.start({
      target: placed.registry.host,
      bytesPerSecond: 4 << 20,
    });
    const slowName = placed.name.replace(placed.registry.host, proxy.host);
    const child = startElsewhere(root.path, slowName);
    while ((await leftOvers(root.path)).length === 0) await Bun.sleep(5);
    await Bun.sleep(300);
    child.kill("SIGKILL");
    await child.exited;
    await using prepared = await prepare(root.path, placed.name);
    expect(prepared.data(0)?.equals(big.tar)).toBe(true);
    while ((await leftOvers(root.path)).length > 1) await Bun.sleep(5);
  });
});

const isRoot = process.geteuid?.() === 0;

test.skipIf(!isRoot)(
  `prepareImage() says that the disk is full and leaves nothing behind${isRoot ? "" : " (needs root)"}`,
  async () => {
    await using dir = await tempDir();
    using _disk = smallDisk(dir.path, 8 << 20);
    const big = layerOf(await buildTar([{ name: "a", content: randomBytes(9 << 20) }]));
    await using placed = await placeImage(imageOf([lower, big]));
    expect(await rejectionOf(prepare(dir.path, placed.name, { withStore: true }))).toMatchObject({
      kind: "failed-precondition",
      message: expect.stringContaining(big.descriptor.digest),
    });
    expect((await leftOvers(dir.path)).filter((name) => name.includes("."))).toEqual([]);
  },
);

function startElsewhere(root: string, name: string) {
  const main = join(import.meta.dirname, "prepare-main.ts");
  return Bun.spawn([process.execPath, main, root, name], { stdio: ["ignore", "pipe", "inherit"] });
}

async function prepareElsewhere(
  root: string,
  name: string,
): Promise<{ readonly isWhole: boolean }> {
  return JSON.parse(await new Response(startElsewhere(root, name).stdout).text());
}

/** Unfinished files, and layers that are in the cache. */
async function leftOvers(root: string): Promise<string[]> {
  const cacheRoot = cacheRootOf(root);
  const found: string[] = [];
  for (const path of [ingestDirectory(cacheRoot), join(cacheRoot, "sha256")]) {
    found.push(...(await readdir(path).catch(() => [])));
  }
  return found;
}

function damaged(bytes: Uint8Array, at = bytes.length >> 1): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0x55;
  return copy;
}
