import { stat } from "node:fs/promises";
import { beforeAll, expect, test } from "bun:test";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { NO_FILL, ServeHost } from "../support/serve-host.ts";
import { ServeProcess } from "../support/serve-process.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(1_500_000, 9);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;

let layers: readonly BuiltLayer[];

beforeAll(async () => {
  await buildSociable();
  const data = await buildLayer({ entries: [{ name: "data/large", content: LARGE }] });
  layers = [await runnableLayer(), data];
}, PATIENCE_MS);

describeMounts(CONTAINERD_PROGRAMS, "the life of sociable serve", () => {
  test.each([
    { title: "was asked to end", signal: "SIGTERM" },
    { title: "was interrupted", signal: "SIGINT" },
    { title: "was killed", signal: "SIGKILL" },
  ] as const)(
    "shows its images again without the registry after it $title",
    async ({ signal }) => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      await host.proxy.down();
      if (signal === "SIGKILL") await host.serve.kill();
      else expect(await host.serve.stop(signal)).toBe(0);
      await host.restartServe();
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      // What was not here yet comes when the registry is back.
      await host.proxy.up();
      expect(await host.differences(app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "gives back what an image had when it is removed",
    async () => {
      await using host = await ServeHost.start();
      const before = await host.ownMounts();
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      await host.containerd.ctrOutput(["images", "rm", "--sync", app.name]);
      const snapshots = ["snapshots", "--snapshotter", "sociable", "list"];
      expect((await host.containerd.ctrOutput(snapshots)).trim().split("\n")).toHaveLength(1);
      expect((await host.ownMounts()).length).toBeLessThanOrEqual(Math.max(1, before.length));
      // It can come again.
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "goes on after containerd was started again",
    async () => {
      await using host = await ServeHost.start();
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      await host.containerd.restart();
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "lets a container go on that runs while containerd is started again",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      await using container = await host.containerd.startContainer({
        image: app.name,
        snapshotter: "sociable",
        args: ["/bin/sleep", "1000"],
      });
      await host.containerd.restart();
      const { stdout } = await container.exec(HASH_IT);
      expect(Buffer.from(stdout).toString()).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "starts new containers beside one that lost its files when it was killed",
    async () => {
      await using host = await ServeHost.start();
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      await using container = await host.containerd.startContainer({
        image: app.name,
        snapshotter: "sociable",
        args: ["/bin/sleep", "1000"],
      });
      await host.serve.kill();
      await host.restartServe();
      // The old container's mounts died with their process; a new one is none the worse.
      expect(container.pid).toBeGreaterThan(0);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "does not share its root with a second one",
    async () => {
      await using host = await ServeHost.start();
      await using other = await ServeProcess.spawn({
        directory: host.dir.join("other"),
        root: host.serve.root,
      });
      expect(await other.exited).toBe(1);
      expect(other.stderr).toContain(host.serve.root);
      // The first one is none the worse.
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "keeps its root to itself",
    async () => {
      await using host = await ServeHost.start();
      expect((await stat(host.serve.root)).mode & 0o777).toBe(0o700);
    },
    PATIENCE_MS,
  );
});
