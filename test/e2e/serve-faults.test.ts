import { beforeAll, expect, test } from "bun:test";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { NO_FILL, ServeHost } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(1_500_000, 11);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;

let layers: readonly BuiltLayer[];
let strangers: readonly BuiltLayer[];

beforeAll(async () => {
  await buildSociable();
  const data = await buildLayer({ entries: [{ name: "data/large", content: LARGE }] });
  layers = [await runnableLayer(), data];
  strangers = [await buildLayer({ entries: [{ name: "other", content: sampleBytes(99_999, 3) }] })];
}, PATIENCE_MS);

describeMounts(CONTAINERD_PROGRAMS, "sociable serve where something is wrong", () => {
  test.each([
    {
      title: "a zTOC is garbage",
      mangle: (ztoc: Uint8Array) => sampleBytes(ztoc.length, 1),
    },
    {
      title: "a zTOC is cut short",
      mangle: (ztoc: Uint8Array) => ztoc.slice(0, ztoc.length >> 1),
    },
    { title: "a zTOC is empty", mangle: () => new Uint8Array(0) },
    {
      title: "bits of a zTOC are flipped",
      mangle: (ztoc: Uint8Array) => ztoc.map((byte, i) => (i % 997 === 500 ? byte ^ 0x55 : byte)),
    },
  ])(
    "starts the container when $title",
    async ({ mangle }) => {
      await using host = await ServeHost.start();
      const app = await host.put({
        repository: "app",
        layers,
        mangle: (ztoc, layer) => (layer === 1 ? mangle(ztoc) : ztoc),
      });
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(await host.differences(app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "starts the container when the index is another image's",
    async () => {
      await using host = await ServeHost.start();
      const other = await host.put({ repository: "app", layers: strangers, index: "unnamed" });
      const app = await host.put({ repository: "app", layers, index: "none" });
      await host.pulled(app.name, ["--soci-index-digest", other.indexDigest ?? ""]);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "starts the container when the index that the caller names does not exist",
    async () => {
      await using host = await ServeHost.start();
      const app = await host.put({ repository: "app", layers, index: "none" });
      await host.pulled(app.name, ["--soci-index-digest", `sha256:${"0".repeat(64)}`]);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "says why when the registry is down at the pull",
    async () => {
      await using host = await ServeHost.start();
      const app = await host.put({ repository: "app", layers });
      await host.proxy.down();
      const { code, stderr } = await host.pull(app.name);
      expect(code).toBe(1);
      expect(stderr).toContain(host.proxy.host);
      await host.proxy.up();
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "waits for a registry that is away for a moment while a container reads",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      await using container = await host.containerd.startContainer({
        image: app.name,
        snapshotter: "sociable",
        args: ["/bin/sleep", "1000"],
      });
      await host.proxy.down();
      const reading = container.exec(HASH_IT);
      await Bun.sleep(1500);
      await host.proxy.up();
      const { stdout } = await reading;
      expect(Buffer.from(stdout).toString()).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "reads the right bytes though the registry sent wrong ones before",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      host.registry.corruptNext(1, { at: 1000 });
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(host.registry.faultsLeft).toBe(0);
    },
    PATIENCE_MS,
  );
});
