import { beforeAll, expect, test } from "bun:test";
import { chainIds } from "../../src/containerd/chain-ids.ts";
import { ContainerdClient } from "../../src/containerd/containerd-client.ts";
import { layerLabels } from "../../src/containerd/snapshot-labels.ts";
import type { SnapshotsClient } from "../../src/containerd/snapshots-client.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { collectGarbage } from "../support/containerd-garbage.ts";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { type Footprint, footprintOf } from "../support/daemon-footprint.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { rejectionOf } from "../support/failure.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { type HostImage, NO_FILL, ServeHost } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 170_000;
const WARM_UP = 100;
const CYCLES = 1000;
const AT_ONCE = 4;
/** The log of changes grows to 4 MiB before it begins anew. */
const DATABASE_KIB = 5 * 1024;
/** What garbage there is between collections: it was 58 to 116 MiB over 15,000 cycles, and 73 at rest. */
const OWN_MIB = 48;

let layers: readonly BuiltLayer[];

beforeAll(async () => {
  await buildSociable();
  layers = [
    await buildLayer({ entries: [{ name: "data/large", content: sampleBytes(200_000, 31) }] }),
    await buildLayer({ entries: [{ name: "etc/greeting", content: "hello\n" }] }),
  ];
}, PATIENCE_MS);

/** An image's layers made and taken away, with a container's file system over them that is committed. */
async function cycle(
  snapshots: SnapshotsClient,
  { image, name }: HostImage,
  id: string,
): Promise<void> {
  // As another image with the same layers: nobody else has its snapshots.
  const chains = chainIds(image.layers.map(({ tar }) => digestOf(tar)));
  const own = chains.map((chain) => digestOf(`${id} ${chain}`));
  for (const [i, { descriptor }] of image.layers.entries()) {
    const chainId = own[i];
    if (chainId === undefined) throw new Error("a layer is missing");
    const above = image.layers.slice(i + 1).map((layer) => layer.descriptor);
    const labels = layerLabels({
      chainId,
      imageName: name,
      manifest: image.descriptor.digest,
      layers: [descriptor, ...above],
    });
    const parent = own[i - 1];
    const options = { labels, ...(parent === undefined ? {} : { parent }) };
    const answer = await rejectionOf(snapshots.prepare(`extract ${id} ${i}`, options));
    expect(answer).toMatchObject({ kind: "already-exists" });
  }
  const parent = own.at(-1) ?? "";
  await snapshots.prepare(`container ${id}`, { parent });
  expect((await snapshots.mounts(`container ${id}`)).length).toBe(1);
  await snapshots.commit(`container ${id}`, { name: `committed ${id}` });
  await snapshots.view(`view ${id}`, { parent: `committed ${id}` });
  await snapshots.remove(`view ${id}`);
  await snapshots.remove(`committed ${id}`);
  for (const chain of own.toReversed()) await snapshots.remove(chain);
}

async function cycles(
  snapshots: SnapshotsClient,
  app: HostImage,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  let next = from;
  const work = async (): Promise<void> => {
    while (next < to) await cycle(snapshots, app, `id-${next++}`);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  await snapshots.cleanup();
}

function expectNoGrowth(after: Footprint, before: Footprint): void {
  expect(after.mounts).toBeLessThanOrEqual(before.mounts);
  expect(after.files).toBeLessThanOrEqual(before.files + 2);
  expect(after.fileKiB).toBeLessThanOrEqual(before.fileKiB + 64);
  expect(after.databaseKiB).toBeLessThanOrEqual(Math.max(before.databaseKiB, DATABASE_KIB));
  expect(after.liveFiles).toBeLessThanOrEqual(before.liveFiles);
  expect(after.threads).toBeLessThanOrEqual(before.threads + 2);
  expect(after.descriptors).toBeLessThanOrEqual(before.descriptors + 6);
  expect(after.ownMiB).toBeLessThanOrEqual(before.ownMiB + OWN_MIB);
}

describeMounts(CONTAINERD_PROGRAMS, "sociable serve, used for long", () => {
  test(
    `is after ${CYCLES} cycles of snapshots as large as after ${WARM_UP}`,
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await using client = new ContainerdClient(host.serve.address);
      const snapshots = client.namespace("default").snapshots("sociable");
      await cycles(snapshots, app, { from: 0, to: WARM_UP });
      const before = await footprintOf(host.serve);
      await cycles(snapshots, app, { from: WARM_UP, to: CYCLES });
      const after = await footprintOf(host.serve);
      expect(await Array.fromAsync(snapshots.list())).toEqual([]);
      expectNoGrowth(after, before);
    },
    PATIENCE_MS,
  );

  test(
    "is as large after hundreds of containers that containerd made and took away",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      await using client = new ContainerdClient(host.containerd.address);
      const space = client.namespace("default");
      const snapshots = space.snapshots("sociable");
      await using direct = new ContainerdClient(host.serve.address);
      const own = direct.namespace("default").snapshots("sociable");
      const parent = chainIds(app.image.layers.map(({ tar }) => digestOf(tar))).at(-1) ?? "";
      const containers = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) {
          const key = `container-${i}`;
          // Nothing else keeps containerd from collecting it at any time.
          await snapshots.prepare(key, { parent, labels: { "containerd.io/gc.root": "test" } });
          await snapshots.remove(key);
        }
        // containerd takes away what is removed when it collects garbage.
        await collectGarbage(space);
        await own.cleanup();
      };
      await containers(50);
      const before = await footprintOf(host.serve);
      await containers(250);
      const after = await footprintOf(host.serve);
      expectNoGrowth(after, before);
    },
    PATIENCE_MS,
  );

  test(
    "lists more snapshots with long labels than one message holds, to containerd as well",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      await using client = new ContainerdClient(host.containerd.address);
      const snapshots = client.namespace("default").snapshots("sociable");
      const labels = { "containerd.io/gc.root": "x".repeat(4000) };
      for (let i = 0; i < 400; i++) await snapshots.prepare(`many-${i}`, { labels });
      expect((await Array.fromAsync(snapshots.list())).length).toBe(400);
      await using direct = new ContainerdClient(host.serve.address);
      const own = direct.namespace("default").snapshots("sociable");
      for (let i = 0; i < 5; i++) {
        const lists = [1, 2, 3].map(async () => (await Array.fromAsync(own.list())).length);
        expect(await Promise.all(lists)).toEqual([400, 400, 400]);
      }
    },
    PATIENCE_MS,
  );
});
