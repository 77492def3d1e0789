import { describe, expect, test } from "bun:test";
import { exposition } from "../../src/observability/exposition.ts";
import { Metrics } from "../../src/observability/metrics.ts";

async function linesOf(metrics: Metrics): Promise<readonly string[]> {
  return (await metrics.exposition()).split("\n");
}

describe("Metrics", () => {
  test("has the line of dropped background work before anything was dropped", async () => {
    expect(await linesOf(new Metrics())).toContain(
      'soci_fs_operation_count{layer="",operation_type="background_fetch_work_queue_evicted"} 0',
    );
  });

  test("counts with labels in alphabetical order", async () => {
    const metrics = new Metrics();
    metrics.count("fuse_mount_failure_count");
    metrics.counter("synchronous_read_count", "sha256:1").add(3);
    metrics.served(4096, "sha256:1");
    metrics.imageOperation("node.Lookup", "sha256:2", 2);
    const lines = await linesOf(metrics);
    expect(lines).toContain(
      'soci_fs_operation_count{layer="",operation_type="fuse_mount_failure_count"} 1',
    );
    expect(lines).toContain(
      'soci_fs_operation_count{layer="sha256:1",operation_type="synchronous_read_count"} 3',
    );
    expect(lines).toContain(
      'soci_fs_bytes_served{layer="sha256:1",operation_type="synchronous_bytes_served"} 4096',
    );
    expect(lines).toContain(
      'soci_fs_image_operation_count_key{image="sha256:2",operation_type="node.Lookup"} 2',
    );
  });

  test("writes a histogram's le last, in the Go snapshotter's buckets", async () => {
    const metrics = new Metrics();
    metrics.took("mount", 3, "sha256:1");
    metrics.tookMicroseconds("synchronous_read", 2000);
    const lines = await linesOf(metrics);
    const name = "soci_fs_operation_duration_milliseconds";
    const labels = 'layer="sha256:1",operation_type="mount"';
    expect(lines.filter((line) => line.startsWith(`${name}_bucket`)).length).toBe(16);
    expect(lines).toContain(`${name}_bucket{${labels},le="2"} 0`);
    expect(lines).toContain(`${name}_bucket{${labels},le="4"} 1`);
    expect(lines).toContain(`${name}_bucket{${labels},le="16384"} 1`);
    expect(lines).toContain(`${name}_bucket{${labels},le="+Inf"} 1`);
    expect(lines).toContain(`${name}_sum{${labels}} 3`);
    expect(lines).toContain(`${name}_count{${labels}} 1`);
    expect(lines).toContain(
      'soci_fs_operation_duration_microseconds_bucket{layer="",operation_type="synchronous_read",le="1024"} 0',
    );
  });

  test("reads sizes off the daemon each time", async () => {
    const metrics = new Metrics();
    let fetchedSize = 10;
    metrics.watch(() => ({
      layers: [{ digest: "sha256:1", mountpoint: "/m", size: 100, fetchedSize }],
      cacheUsedBytes: 5,
      cacheCapBytes: 50,
      mountedImages: 2,
    }));
    await metrics.exposition();
    fetchedSize = 30;
    const lines = await linesOf(metrics);
    expect(lines).toContain('soci_fs_layer_size_bytes{digest="sha256:1",mountpoint="/m"} 100');
    expect(lines).toContain(
      'soci_fs_layer_fetched_size_bytes{digest="sha256:1",mountpoint="/m"} 30',
    );
    expect(lines).toContain("sociable_cache_used_bytes 5");
    expect(lines).toContain("sociable_cache_cap_bytes 50");
    expect(lines).toContain("sociable_mounted_images 2");
  });

  test("counts what is ours", async () => {
    const metrics = new Metrics();
    metrics.fetched("demand", 7);
    metrics.evicted("span", 2);
    metrics.fellBack("no-index");
    metrics.cacheHit(3);
    metrics.cacheMiss();
    metrics.coldRead(0.03);
    const lines = await linesOf(metrics);
    expect(lines).toContain('sociable_fetched_bytes_total{cause="demand"} 7');
    expect(lines).toContain('sociable_fetched_bytes_total{cause="background"} 0');
    expect(lines).toContain('sociable_evictions_total{kind="span"} 2');
    expect(lines).toContain('sociable_fallbacks_total{reason="no-index"} 1');
    expect(lines).toContain("sociable_cache_hits_total 3");
    expect(lines).toContain("sociable_cache_misses_total 1");
    expect(lines).toContain('sociable_cold_read_seconds_bucket{le="0.05"} 1');
  });

  test("tells of a failing file system once in five minutes", async () => {
    let now = 0;
    const metrics = new Metrics({ now: () => now });
    metrics.fuseFailed("fuse_file_read_failure_count", "sha256:1");
    metrics.fuseFailed("fuse_file_read_failure_count", "sha256:1");
    now = 5 * 60 * 1000;
    metrics.fuseFailed("fuse_file_read_failure_count", "sha256:1");
    const lines = await linesOf(metrics);
    expect(lines).toContain(
      'soci_fs_operation_count{layer="sha256:1",operation_type="fuse_file_read_failure_count"} 3',
    );
    expect(lines).toContain(
      'soci_fs_operation_count{layer="",operation_type="fuse_failure_state"} 2',
    );
  });

  test("has as many lines after a thousand layers and images as before", async () => {
    const metrics = new Metrics();
    const before = (await linesOf(metrics)).length;
    for (let index = 0; index < 1000; index += 1) {
      const layer = `sha256:${index}`;
      metrics.took("mount", 1, layer);
      metrics.tookMicroseconds("node_readdir", 1, layer);
      metrics.count("resolve_cache_hit", { layer });
      metrics.served(1, layer);
      metrics.imageOperation("file.Read", layer);
      metrics.forgetLayer(layer);
      metrics.forgetImage(layer);
    }
    expect((await linesOf(metrics)).length).toBe(before);
  });

  test("tells about the process", async () => {
    const text = await new Metrics().exposition();
    expect(text).toMatch(/^process_open_fds [1-9]\d*$/m);
    expect(text).toMatch(/^process_cpu_seconds_total [\d.e-]+$/m);
    expect(text).toMatch(/^sociable_resident_memory_bytes\{kind="anon"\} [1-9]\d*$/m);
  });

  test("has no line with the word fuse and a number but those of failures", async () => {
    const text = await new Metrics().exposition();
    expect(text).not.toMatch(/^[^#].*fuse.* [1-9]\d*$/m);
  });
});

describe("exposition()", () => {
  test("escapes label values and sorts families", () => {
    const family = (name: string) => ({
      name,
      help: "a\nb",
      type: "gauge",
      values: [{ value: Number.POSITIVE_INFINITY, labels: { z: 'q"\\\n', a: 1, none: undefined } }],
    });
    expect(exposition([family("y"), family("x"), { ...family("empty"), values: [] }])).toBe(
      ["x", "y"]
        .map(
          (name) =>
            `# HELP ${name} a\\nb\n# TYPE ${name} gauge\n${name}{a="1",z="q\\"\\\\\\n"} +Inf\n`,
        )
        .join(""),
    );
  });
});
