import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { copyFile, rename } from "node:fs/promises";
import type { PreparedLayer } from "../../src/image/prepared-image.ts";
import { ChainStage } from "../support/chain-stage.ts";
import { rejectionOf } from "../support/failure.ts";
import { MountStage } from "../support/mount-stage.ts";
import { mountSample } from "../support/mount-sample.ts";

let stage: MountStage;
let chains: ChainStage;
let layer: PreparedLayer;

beforeEach(async () => {
  stage = await MountStage.open(await mountSample({ largeBytes: 200_000, smallFiles: 2 }));
  chains = await ChainStage.open({ image: stage.name, root: stage.temp.join("root") });
  const [first] = chains.layers;
  if (first === undefined) throw new Error("the image has no layers");
  layer = first;
});

afterEach(async () => {
  await chains[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
});

describe("ServedLayers", () => {
  test("serves a layer once, until its last lease is released", async () => {
    const [one, two] = await Promise.all([chains.acquire(layer), chains.acquire(layer)]);
    expect(one?.number).toBe(two?.number ?? -1);
    expect(chains.served.count).toBe(1);
    await one?.[Symbol.asyncDispose]();
    await one?.[Symbol.asyncDispose]();
    expect(chains.served.count).toBe(1);
    await two?.[Symbol.asyncDispose]();
    expect(chains.served.count).toBe(0);
  });

  test("gives a layer the number that it had, once it is released", async () => {
    const one = await chains.acquire(layer);
    await one[Symbol.asyncDispose]();
    await using again = await chains.acquire(layer);
    expect(again.number).toBe(one.number);
  });

  test("gives a layer that is opened twice two numbers", async () => {
    await using second = await chains.cache.openLayer(layer.layer.key);
    if (second === undefined) throw new Error("the layer is gone");
    await using one = await chains.acquire(layer);
    await using two = await chains.acquire({ ...layer, layer: second });
    expect(two.number).not.toBe(one.number);
    expect(chains.served.count).toBe(2);
  });

  test("reads through a lease what its source gives", async () => {
    await using lease = await chains.acquire(layer);
    const { number, answered } = lease;
    await answered.want(0, 512, { isForMemory: false, fileEnd: undefined });
    const header = new Uint8Array(512);
    expect(chains.scheduler.readRange(number, 0, 512, header, 0)).toBe(512);
    expect(Buffer.from(header).toString("latin1", 257, 262)).toBe("ustar");
  });

  test("refuses a layer whose table is damaged, and takes it when it is whole again", async () => {
    const { inodes } = layer.layer.paths;
    await copyFile(inodes, stage.temp.join("kept"));
    const bytes = new Uint8Array(await Bun.file(inodes).arrayBuffer());
    bytes[80] = (bytes[80] ?? 0) ^ 1;
    await Bun.write(stage.temp.join("bad"), bytes);
    await rename(stage.temp.join("bad"), inodes);
    expect(await rejectionOf(chains.acquire(layer))).toMatchObject({ kind: "data-loss" });
    expect(chains.served.count).toBe(0);
    await rename(stage.temp.join("kept"), inodes);
    await using lease = await chains.acquire(layer);
    expect(lease.hasXattrs).toBe(false);
  });
});
