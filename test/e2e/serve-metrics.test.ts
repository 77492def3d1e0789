import { beforeAll, expect, test } from "bun:test";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { NO_FILL, ServeHost } from "../support/serve-host.ts";
import { ServeProcess } from "../support/serve-process.ts";
import { buildSociable } from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(1_500_000, 41);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;

let layers: readonly BuiltLayer[];

beforeAll(async () => {
  await buildSociable();
  const data = await buildLayer({ entries: [{ name: "data/large", content: LARGE }] });
  layers = [await runnableLayer(), data];
}, PATIENCE_MS);

/** Families of metrics with their types, and the names of the labels that they have. */
function familiesOf(text: string): Record<string, { type: string; labels: string[] }> {
  const families: Record<string, { type: string; labels: string[] }> = {};
  for (const [, name = "", type = ""] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    families[name] = { type, labels: [] };
    const line = new RegExp(`^${name}(?:_bucket)?\\{([^}]*)\\}`, "m").exec(text)?.[1] ?? "";
    families[name].labels = [...line.matchAll(/(\w+)="/g)].flatMap(([, label = ""]) => label);
  }
  return families;
}

// §6.3 and the Go snapshotter's fs/metrics: names, types, and labels in alphabetical order.
const REFERENCE = {
  soci_fs_bytes_served: { type: "gauge", labels: ["layer", "operation_type"] },
  soci_fs_layer_fetched_size_bytes: { type: "counter", labels: ["digest", "mountpoint"] },
  soci_fs_layer_size_bytes: { type: "counter", labels: ["digest", "mountpoint"] },
  soci_fs_operation_count: { type: "counter", labels: ["layer", "operation_type"] },
  soci_fs_operation_duration_milliseconds: {
    type: "histogram",
    labels: ["layer", "operation_type", "le"],
  },
};

describeMounts(CONTAINERD_PROGRAMS, "the metrics of sociable serve", () => {
  test(
    "have the names and labels of the reference after a lazy run, and say what was done",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      const response = await host.serve.get("/metrics");
      expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
      const text = await response.text();
      expect(familiesOf(text)).toMatchObject(REFERENCE);
      const metrics = await host.serve.metrics();
      const value = (name: string): number => metrics.get(name) ?? Number.NaN;
      const fetched = ["demand", "readahead"].reduce(
        (sum, cause) => sum + value(`sociable_fetched_bytes_total{cause="${cause}"}`),
        0,
      );
      expect(fetched).toBeGreaterThan(LARGE.length / 3);
      expect(value('sociable_fetched_bytes_total{cause="background"}')).toBe(0);
      expect(value('sociable_fetched_bytes_total{cause="prefetch"}')).toBe(0);
      expect(value("sociable_cache_misses_total")).toBeGreaterThan(0);
      expect(value("sociable_cold_read_seconds_count")).toBeGreaterThan(0);
      expect(value("sociable_cache_used_bytes")).toBeGreaterThan(0);
      expect(
        value('soci_fs_bytes_served{layer="",operation_type="synchronous_bytes_served"}'),
      ).toBeGreaterThan(LARGE.length);
      for (const { descriptor } of app.image.layers) {
        const line = new RegExp(
          `^soci_fs_layer_size_bytes\\{digest="${descriptor.digest}",mountpoint="[^"]+"\\} (\\d+)$`,
          "m",
        );
        expect(Number(line.exec(text)?.[1])).toBe(descriptor.size);
      }
      // What alarms look for.
      const failures = text
        .split("\n")
        .filter((line) => /fuse.*[1-9]\d*$/i.test(line) && /failure/.test(line));
      expect(failures).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "count what is left to containerd, by reason, and forget what is removed",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const plain = await host.put({ repository: "plain", layers, index: "none" });
      await host.pulled(plain.name, ["--each-layer"]);
      const reasons = await host.serve.metrics();
      expect(reasons.get('sociable_fallbacks_total{reason="no-index"}')).toBe(1);
      expect(reasons.get('sociable_fallbacks_total{reason="not-served-parent"}')).toBe(1);
      await host.containerd.ctrOutput(["images", "rm", "--sync", plain.name]);
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      await host.containerd.ctrOutput(["images", "rm", "--sync", app.name]);
      const text = await (await host.serve.get("/metrics")).text();
      for (const { descriptor } of app.image.layers) expect(text).not.toContain(descriptor.digest);
    },
    PATIENCE_MS,
  );

  test("are there on tcp, as its health is", async () => {
    await using dir = await tempDir();
    await using serve = await ServeProcess.start({
      directory: dir.join("serve"),
      flags: ["--log-level", "info"],
      ownConfig: 'metrics_address = "127.0.0.1:0"\nmetrics_network = "tcp"\n',
    });
    const [said] = serve.recordsOf("metrics and health are served");
    const base = `http://${String(said?.["address"])}`;
    const health = await fetch(`${base}/healthz`);
    expect(health.status).toBe(200);
    expect(await (await fetch(`${base}/metrics`)).text()).toContain("process_open_fds");
    expect((await fetch(`${base}/debug/pprof`)).status).toBe(404);
  });

  test("are off with no_prometheus, and health is not", async () => {
    await using dir = await tempDir();
    await using serve = await ServeProcess.start({
      directory: dir.join("serve"),
      config: "no_prometheus = true\n",
    });
    expect((await serve.get("/metrics")).status).toBe(404);
    expect((await serve.get("/healthz")).status).toBe(200);
  });

  test("need no address: health has one of its own", async () => {
    await using dir = await tempDir();
    await using serve = await ServeProcess.start({
      directory: dir.join("serve"),
      ownConfig: "",
      config: '[health]\naddress = "127.0.0.1:0"\n',
    });
    const [said] = serve.recordsOf("metrics and health are served");
    const base = `http://${String(said?.["address"])}`;
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
    expect((await fetch(`${base}/metrics`)).status).toBe(404);
  });
});
