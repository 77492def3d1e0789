import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "bun:test";
import { ContainerdClient } from "../../src/containerd/containerd-client.ts";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { footprintOf } from "../support/daemon-footprint.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { NO_FILL, ServeHost } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(4_000_000, 37);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;

let base: BuiltLayer;
let data: BuiltLayer;

beforeAll(async () => {
  await buildSociable();
  base = await runnableLayer();
  data = await buildLayer({ entries: [{ name: "data/large", content: LARGE }] });
}, PATIENCE_MS);

async function cleanUp({ serve }: ServeHost): Promise<void> {
  await using client = new ContainerdClient(serve.address);
  await client.namespace("default").snapshots("sociable").cleanup();
}

async function remove({ containerd }: ServeHost, name: string): Promise<void> {
  await containerd.ctrOutput(["images", "rm", "--sync", name]);
}

describeMounts(CONTAINERD_PROGRAMS, "images that are removed from sociable serve", () => {
  test(
    "leave no snapshot, tree or directory of a mount, and what they had cached is room for others",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const empty = await footprintOf(host.serve);
      const app = await host.put({ repository: "app", layers: [base, data] });
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      await remove(host, app.name);
      await cleanUp(host);
      const { root } = host.serve;
      expect(await readdir(join(root, "snapshots"))).toEqual([]);
      expect(await readdir(join(root, "cache", "trees"))).toEqual([]);
      expect(await readdir(join(root, "cache", "ingest"))).toEqual([]);
      for (const { mountPoint } of await host.ownMounts()) {
        expect(await readdir(mountPoint)).toEqual([]);
      }
      const after = await footprintOf(host.serve);
      expect(after.mounts).toBeLessThanOrEqual(empty.mounts + 1);
      // Layers stay under the cap for the next pull, which needs no request for what is here.
      host.registry.clearRequests();
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(host.layerRequests(app)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "give up their bytes when others need the room",
    async () => {
      await using host = await ServeHost.start({ config: '[cache]\nsize = "14mb"\n' });
      for (const seed of [1, 2, 3]) {
        const bytes = sampleBytes(4_000_000, 100 + seed);
        const own = await buildLayer({ entries: [{ name: "data/own", content: bytes }] });
        const app = await host.put({ repository: `app-${seed}`, layers: [base, own] });
        await host.pulled(app.name);
        const want = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
        const got = await host.run(app.name, ["/bin/sha256sum", "/data/own"]);
        expect(got).toBe(`${want}  /data/own\n`);
        await remove(host, app.name);
      }
      await cleanUp(host);
      const metrics = await host.serve.metrics();
      expect(metrics.get("sociable_cache_used_bytes")).toBeLessThanOrEqual(14 << 20);
      expect(metrics.get('sociable_evictions_total{kind="layer"}')).toBeGreaterThan(0);
    },
    PATIENCE_MS,
  );

  test(
    "keep what another image or a container still needs",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const top = await buildLayer({ entries: [{ name: "etc/greeting", content: "hello\n" }] });
      const app = await host.put({ repository: "app", layers: [base, data] });
      const other = await host.put({ repository: "other", layers: [base, data, top] });
      await host.pulled(app.name);
      await host.pulled(other.name);
      await using container = await host.containerd.startContainer({
        image: app.name,
        snapshotter: "sociable",
        args: ["/bin/sleep", "1000"],
      });
      await remove(host, app.name);
      await cleanUp(host);
      const { stdout } = await container.exec(HASH_IT);
      expect(Buffer.from(stdout).toString()).toBe(HASHED);
      expect(await host.run(other.name, HASH_IT)).toBe(HASHED);
      expect(await host.run(other.name, ["/bin/cat", "/etc/greeting"])).toBe("hello\n");
    },
    PATIENCE_MS,
  );

  test(
    "are not fetched any more, also in the middle of it",
    async () => {
      // So little an answer, and so slow, that the fill takes minutes.
      const manners = { maxRangeBytes: 40_000, answerDelayMs: 150 };
      await using host = await ServeHost.start({ manners });
      const app = await host.put({ repository: "app", layers: [base, data] });
      await host.pulled(app.name);
      const deadline = performance.now() + 20_000;
      while (host.layerRequests(app).length < 4 && performance.now() < deadline) {
        await Bun.sleep(20);
      }
      await remove(host, app.name);
      // Requests that were under way have their answers by then.
      await Bun.sleep(1000);
      const count = host.layerRequests(app).length;
      await Bun.sleep(1500);
      expect(host.layerRequests(app).length).toBe(count);
      const fetched = host.layerRequests(app).reduce((sum, { bytes }) => sum + bytes, 0);
      expect(fetched).toBeLessThan(data.descriptor.size);
    },
    PATIENCE_MS,
  );

  test(
    "take their mounts of user namespaces with them",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers: [base, data] });
      await host.pulled(app.name);
      await using client = new ContainerdClient(host.serve.address);
      const snapshots = client.namespace("default").snapshots("sociable");
      const names = await Array.fromAsync(snapshots.list(), ({ name }) => name);
      const parent = names.at(-1) ?? "";
      const labels = {
        "containerd.io/snapshot/uidmapping": "0:200000:65536",
        "containerd.io/snapshot/gidmapping": "0:200000:65536",
      };
      const before = (await host.ownMounts()).length;
      await snapshots.prepare("mapped", { parent, labels });
      await snapshots.remove("mapped");
      await remove(host, app.name);
      await cleanUp(host);
      expect((await host.ownMounts()).length).toBeLessThanOrEqual(Math.max(before, 1));
      expect(existsSync(join(host.serve.root, "mnt"))).toBe(true);
    },
    PATIENCE_MS,
  );
});
