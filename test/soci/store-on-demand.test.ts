import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { digestOf } from "../../src/oci/digest.ts";
import { openLocalStore } from "../../src/soci/local-store.ts";
import { StoreOnDemand } from "../../src/soci/store-on-demand.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

const LAYER = digestOf(Buffer.from("layer"));
const ZTOC = Buffer.from("a zTOC's bytes");

test("StoreOnDemand makes nothing of a look into a store that is not there", async () => {
  await using dir = await tempDir();
  const root = dir.join("root");
  await using store = await StoreOnDemand.open({ root });
  expect(store.artifacts.findIndexes(LAYER)).toEqual([]);
  expect(await store.findZtoc(LAYER, 4)).toBeUndefined();
  expect(await rejectionOf(store.readZtoc(LAYER))).toMatchObject({ kind: "not-found" });
  expect(await rejectionOf(store.readIndexBytes(LAYER))).toMatchObject({ kind: "not-found" });
  expect(await readdir(dir.path)).toEqual([]);
});

test("StoreOnDemand makes the store for what is put there, and finds it", async () => {
  await using dir = await tempDir();
  const root = dir.join("root");
  await using store = await StoreOnDemand.open({ root });
  const put = { layer: LAYER, spanSize: 4, size: ZTOC.length };
  const [first, second] = await Promise.all([
    store.putZtoc([ZTOC], put),
    store.putZtoc([ZTOC], put),
  ]);
  expect(first.digest).toBe(digestOf(ZTOC));
  expect(second.digest).toBe(first.digest);
  expect(Buffer.from(await store.readZtoc(first.digest))).toEqual(ZTOC);
  expect((await store.findZtoc(LAYER, 4))?.digest).toBe(first.digest);
});

test("StoreOnDemand opens the store that is there", async () => {
  await using dir = await tempDir();
  const root = dir.join("root");
  {
    await using made = await openLocalStore({ root });
    await made.putZtoc([ZTOC], { layer: LAYER, spanSize: 4, size: ZTOC.length });
  }
  await using store = await StoreOnDemand.open({ root });
  expect((await store.findZtoc(LAYER, 4))?.size).toBe(ZTOC.length);
});
