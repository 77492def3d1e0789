import { beforeAll, expect, test } from "bun:test";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { NO_FILL, type PreparedLayers, ServeHost } from "../support/serve-host.ts";
import type { ServeImageOptions } from "../support/serve-image.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(1_500_000, 21);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;
const CHUNK = 64 * 1024;
// One line of the log for each layer, as when kubelet or nerdctl pull.
const EACH = ["--each-layer"];
const LAZILY: PreparedLayers = { lazily: 3, whole: 0, byContainerd: 0 };
const WHOLE: PreparedLayers = { lazily: 0, whole: 3, byContainerd: 0 };
const BY_CONTAINERD: PreparedLayers = { lazily: 0, whole: 0, byContainerd: 3 };

let layers: readonly BuiltLayer[];

beforeAll(async () => {
  await buildSociable();
  layers = [
    await runnableLayer(),
    await buildLayer({ entries: [{ name: "data/large", content: LARGE }] }),
    await buildLayer({ entries: [{ name: "etc/greeting", content: "hello\n" }] }),
  ];
}, PATIENCE_MS);

interface Mode {
  readonly title: string;
  readonly config: string;
  readonly index: NonNullable<ServeImageOptions["index"]>;
  readonly want: PreparedLayers;
}

const parallel = (...lines: readonly string[]): string =>
  ["[pull_modes.parallel_pull_unpack]", ...lines, ""].join("\n");
const NO_MODE = "[pull_modes.soci_v1]\nenable = false\n[pull_modes.soci_v2]\nenable = false\n";

const MODES: readonly Mode[] = [
  {
    title: "leaves all to containerd with every mode off",
    config: NO_MODE,
    index: "annotation",
    want: BY_CONTAINERD,
  },
  {
    title: "does not see a referrer with soci_v1 off",
    config: "[pull_modes.soci_v1]\nenable = false\n",
    index: "referrer",
    want: BY_CONTAINERD,
  },
  {
    title: "does not see an annotation with soci_v2 off",
    config: "[pull_modes.soci_v2]\nenable = false\n",
    index: "annotation",
    want: BY_CONTAINERD,
  },
  {
    title: "leaves an image to containerd whose annotation names an index that is not there",
    config: "",
    index: "dangling",
    want: BY_CONTAINERD,
  },
  {
    title: "serves such an image whole where it is told to",
    config: 'on_missing_index = "stream"\n',
    index: "dangling",
    want: WHOLE,
  },
  {
    title: "fetches whole in parallel, though there is an index",
    config: parallel("enable = true", `concurrent_download_chunk_size = "${CHUNK / 1024}kb"`),
    index: "referrer",
    want: WHOLE,
  },
  {
    title: "fetches whole in parallel where there is no index, as a fallback",
    config: parallel(
      "experimental_parallel_pull_as_fallback = true",
      `concurrent_download_chunk_size = "${CHUNK / 1024}kb"`,
    ),
    index: "none",
    want: WHOLE,
  },
  {
    title: "does not fall back where there is an index",
    config: parallel("experimental_parallel_pull_as_fallback = true"),
    index: "referrer",
    want: LAZILY,
  },
];

describeMounts(CONTAINERD_PROGRAMS, "a mode of sociable serve", () => {
  test.each(MODES)(
    "$title",
    async ({ config, index, want }) => {
      await using host = await ServeHost.start({ config });
      const app = await host.put({ repository: "app", layers, index });
      await host.pulled(app.name, EACH);
      expect(host.prepared).toEqual(want);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(await host.run(app.name, ["/bin/cat", "/etc/greeting"])).toBe("hello\n");
    },
    PATIENCE_MS,
  );

  test(
    "fetches in chunks of the size that it says, and each byte once",
    async () => {
      await using host = await ServeHost.start({
        config: parallel(
          "enable = true",
          `concurrent_download_chunk_size = "${CHUNK / 1024}kb"`,
          "max_concurrent_downloads_per_image = 2",
        ),
      });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name, EACH);
      const [, data] = app.image.layers;
      const requests = host
        .layerRequests(app)
        .filter(({ path }) => path.includes(data?.descriptor.digest ?? "none"));
      const bytes = requests.reduce((sum, request) => sum + request.bytes, 0);
      expect(bytes).toBe(data?.descriptor.size ?? 0);
      expect(Math.max(...requests.map((request) => request.bytes))).toBeLessThanOrEqual(CHUNK);
      expect(await host.differences(app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "fetches small layers whole with min_layer_size",
    async () => {
      await using host = await ServeHost.start({
        config: "[snapshotter]\nmin_layer_size = 10000\n",
      });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name, EACH);
      expect(host.prepared).toMatchObject({ lazily: 2, whole: 1, byContainerd: 0 });
      expect(await host.run(app.name, ["/bin/cat", "/etc/greeting"])).toBe("hello\n");
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "takes the index that the label names before the one of the annotation",
    async () => {
      await using host = await ServeHost.start();
      const named = await host.put({
        repository: "app",
        layers,
        index: "unnamed",
        spanSize: 32_768,
      });
      const app = await host.put({ repository: "app", layers, index: "annotation" });
      expect(named.indexDigest).not.toBe(app.indexDigest);
      await host.pulled(app.name, ["--soci-index-digest", named.indexDigest ?? ""]);
      const used = host.serve.recordsOf("fetching SOCI artifacts using index descriptor");
      expect(used.map(({ digest }) => digest)).toEqual([named.indexDigest]);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "says of the index that it uses in strings alone",
    async () => {
      await using host = await ServeHost.start();
      const app = await host.put({ repository: "app", layers, index: "annotation" });
      await host.pulled(app.name, EACH);
      const [used = {}] = host.serve.recordsOf("fetching SOCI artifacts using index descriptor");
      expect(Object.values(used).every((value) => typeof value === "string")).toBe(true);
      expect(host.serve.strays).toEqual([]);
    },
    PATIENCE_MS,
  );
});

describeMounts(CONTAINERD_PROGRAMS, "a prefetch artifact", () => {
  // More than one span at the layer's end, which nothing at its start asks for.
  const PREFETCH = new Map([[1, [{ startSpan: 8, endSpan: 11 }]]]);

  test(
    "is honoured, before anybody reads, and not in front of Prepare",
    async () => {
      await using host = await ServeHost.start({ config: `[prefetch]\nenable = true\n${NO_FILL}` });
      const app = await host.put({ repository: "app", layers, prefetch: PREFETCH });
      const [, data] = app.image.layers;
      const isOfData = ({ path }: { readonly path: string }): boolean =>
        path.includes(data?.descriptor.digest ?? "none");
      // Were Prepare to wait for it, the pull would fail.
      host.proxy.order(100, {
        kind: "stall",
        request: new RegExp(`^GET .*/blobs/${data?.descriptor.digest}`),
      });
      await host.pulled(app.name);
      const deadline = performance.now() + 20_000;
      while (!host.layerRequests(app).some(isOfData) && performance.now() < deadline) {
        await Bun.sleep(20);
      }
      expect(host.layerRequests(app).filter(isOfData).length).toBeGreaterThan(0);
    },
    PATIENCE_MS,
  );

  test(
    "makes reads of its spans need no request",
    async () => {
      await using host = await ServeHost.start({ config: `[prefetch]\nenable = true\n${NO_FILL}` });
      const ranges = new Map([
        [0, [{ startSpan: 0, endSpan: 10_000 }]],
        [1, [{ startSpan: 0, endSpan: 10_000 }]],
        [2, [{ startSpan: 0, endSpan: 10_000 }]],
      ]);
      const app = await host.put({ repository: "app", layers, prefetch: ranges });
      const size = app.image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
      await host.pulled(app.name);
      const fetched = async (): Promise<number> =>
        (await host.serve.metrics()).get('sociable_fetched_bytes_total{cause="prefetch"}') ?? 0;
      const deadline = performance.now() + 20_000;
      // gzip's header and trailer belong to no span.
      while ((await fetched()) < size - 200 && performance.now() < deadline) await Bun.sleep(20);
      expect(await fetched()).toBeGreaterThan(size - 200);
      await host.proxy.down();
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "is left alone where prefetch is off",
    async () => {
      await using host = await ServeHost.start({
        config: `[prefetch]\nenable = false\n${NO_FILL}`,
      });
      const app = await host.put({ repository: "app", layers, prefetch: PREFETCH });
      await host.pulled(app.name);
      expect(await host.run(app.name, ["/bin/echo", "here"])).toBe("here\n");
      const metrics = await host.serve.metrics();
      expect(metrics.get('sociable_fetched_bytes_total{cause="prefetch"}')).toBe(0);
    },
    PATIENCE_MS,
  );

  test(
    "that is garbage harms nobody",
    async () => {
      await using host = await ServeHost.start({ config: "[prefetch]\nenable = true\n" });
      const ranges = new Map([[1, [{ startSpan: 1_000_000, endSpan: 2_000_000_000 }]]]);
      const app = await host.put({ repository: "app", layers, prefetch: ranges });
      await host.pulled(app.name, EACH);
      expect(host.prepared).toEqual(LAZILY);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );
});
