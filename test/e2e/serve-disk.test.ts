import { beforeAll, expect, test } from "bun:test";
import { ContainerdClient } from "../../src/containerd/containerd-client.ts";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { messagesOf, rejectionOf } from "../support/failure.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { NO_FILL, ServeHost, type ServeHostOptions } from "../support/serve-host.ts";
import type { SmallDisk } from "../support/small-disk.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(3_000_000, 17);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;
const DISK_BYTES = 48 << 20;
const CAP = '[cache]\nsize = "24mb"\n';

let layers: readonly BuiltLayer[];

beforeAll(async () => {
  await buildSociable();
  const data = await buildLayer({ entries: [{ name: "data/large", content: LARGE }] });
  layers = [await runnableLayer(), data];
}, PATIENCE_MS);

async function startOnSmallDisk(
  options: ServeHostOptions = {},
): Promise<{ readonly host: ServeHost; readonly disk: SmallDisk } & AsyncDisposable> {
  const host = await ServeHost.start({ diskBytes: DISK_BYTES, config: CAP, ...options });
  const { disk } = host;
  if (disk === undefined) throw new Error("no disk");
  return { host, disk, [Symbol.asyncDispose]: async () => await host[Symbol.asyncDispose]() };
}

describeMounts(CONTAINERD_PROGRAMS, "sociable serve on a full disk", () => {
  test(
    "says so at Prepare and at Commit, loses nothing, and goes on when there is room",
    async () => {
      await using started = await startOnSmallDisk();
      const { host, disk } = started;
      await using client = new ContainerdClient(host.serve.address);
      const snapshots = client.namespace("default").snapshots("sociable");
      await snapshots.prepare("before");
      // The database has some room of its own: more than that is asked for.
      const labels = { filling: "x".repeat(64 * 1024) };
      disk.fill();
      const full = { kind: "unavailable", message: expect.stringContaining("no room") };
      expect(await rejectionOf(snapshots.commit("before", { name: "one", labels }))).toMatchObject(
        full,
      );
      expect(await rejectionOf(snapshots.prepare("new", { labels }))).toMatchObject(full);
      const names = await Array.fromAsync(snapshots.list(), ({ name }) => name);
      expect(names).toEqual(["before"]);
      await disk.empty();
      await snapshots.commit("before", { name: "one", labels });
      expect(await snapshots.prepare("new", { parent: "one", labels })).toHaveLength(1);
    },
    PATIENCE_MS,
  );

  test(
    "has containerd fail while it unpacks, and unpack when there is room",
    async () => {
      await using started = await startOnSmallDisk();
      const { host, disk } = started;
      const app = await host.put({ repository: "app", layers, index: "none" });
      disk.fill({ leave: 1 << 20 });
      const { code, stderr } = await host.pull(app.name);
      expect(code).toBe(1);
      expect(stderr).not.toContain("Internal error");
      expect(stderr).toMatch(/no space left|no room/);
      await disk.empty();
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "prepares layers, or says why not, and serves them when there is room",
    async () => {
      await using started = await startOnSmallDisk({ config: `${CAP}${NO_FILL}` });
      const { host, disk } = started;
      const app = await host.put({ repository: "app", layers });
      disk.fill();
      const { code, stderr } = await host.pull(app.name);
      expect(code).toBe(1);
      expect(stderr).toMatch(/no space left|no room/);
      await disk.empty();
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(await host.differences(app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "lets a container go on reading what is not here yet",
    async () => {
      await using started = await startOnSmallDisk({ config: `${CAP}${NO_FILL}` });
      const { host, disk } = started;
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      await using container = await host.containerd.startContainer({
        image: app.name,
        snapshotter: "sociable",
        args: ["/bin/sleep", "1000"],
      });
      // What exec needs is here already.
      await container.exec(["/bin/sha256sum", "/bin/sh"]);
      disk.fill();
      const { stdout } = await container.exec(HASH_IT);
      expect(Buffer.from(stdout).toString()).toBe(HASHED);
      await disk.empty();
      const again = await container.exec(HASH_IT);
      expect(Buffer.from(again.stdout).toString()).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "starts again from it",
    async () => {
      await using started = await startOnSmallDisk({ config: `${CAP}${NO_FILL}` });
      const { host, disk } = started;
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      disk.fill();
      await host.serve.kill();
      const restarted = host.restartServe();
      const failure: unknown = await restarted.then(
        () => undefined,
        (error: unknown) => error,
      );
      await disk.empty();
      if (failure !== undefined) {
        // It may need room to start, but has to say so.
        expect(messagesOf(failure)).toMatch(/no space left|no room|ENOSPC/);
        await host.restartServe();
      }
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );
});
