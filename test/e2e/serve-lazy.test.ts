import { chmod } from "node:fs/promises";
import { beforeAll, expect, test } from "bun:test";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltLayer, buildLayer, type LayerEntry, layerOf } from "../support/image-builder.ts";
import { specialLayer } from "../support/mount-images.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { NO_FILL, ServeHost } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(1_500_000, 7);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
// One line of the log for each layer, as when kubelet or nerdctl pull.
const EACH = ["--each-layer"];
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;

let base: BuiltLayer;
let data: BuiltLayer;
let upper: BuiltLayer;

beforeAll(async () => {
  await buildSociable();
  base = await runnableLayer();
  data = await buildLayer({
    entries: [
      { name: "data/", type: "directory", mode: 0o750, uid: 7, gid: 8 },
      { name: "data/large", content: LARGE },
      { name: "data/removed", content: "old" },
      { name: "etc/greeting", content: "hello" },
    ],
  });
  upper = await buildLayer({
    entries: [
      { name: "data/.wh.removed", content: "" },
      { name: "etc/greeting", content: "good day\n" },
    ],
  });
}, PATIENCE_MS);

describeMounts(CONTAINERD_PROGRAMS, "sociable serve", () => {
  test.each([
    { title: "by a referrer", index: "referrer" },
    { title: "by an annotation", index: "annotation" },
  ] as const)(
    "starts containers of an image indexed $title before its layers are here",
    async ({ index }) => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers: [base, data, upper], index });
      await host.pulled(app.name, EACH);
      expect(host.prepared).toEqual({ lazily: 3, whole: 0, byContainerd: 0 });
      // A gzip header is asked for at most.
      const bytes = host.layerRequests(app).reduce((sum, request) => sum + request.bytes, 0);
      expect(bytes).toBeLessThan(1000);
      expect(await host.run(app.name, ["/bin/cat", "/etc/greeting"])).toBe("good day\n");
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(await host.run(app.name, ["/bin/ls", "/data"])).toBe("large\n");
      expect(await host.differences(app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "gives each container a file system of its own to write to",
    async () => {
      await using host = await ServeHost.start();
      const app = await host.put({ repository: "app", layers: [base, data, upper] });
      await host.pulled(app.name);
      const script = "rm -r /data && echo new > /etc/greeting && cat /etc/greeting && ls /";
      const first = await host.run(app.name, ["/bin/sh", "-c", script]);
      expect(first).toStartWith("new\n");
      expect(first).not.toContain("data");
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "serves whole what the index leaves out",
    async () => {
      await using host = await ServeHost.start();
      const layers = [base, data, upper];
      const app = await host.put({ repository: "app", layers, outside: [0, 2] });
      await host.pulled(app.name, EACH);
      expect(host.prepared).toEqual({ lazily: 1, whole: 2, byContainerd: 0 });
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(await host.differences(app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "leaves an image without an index to containerd",
    async () => {
      await using host = await ServeHost.start();
      const layers = [base, data, upper];
      const app = await host.put({ repository: "app", layers, index: "none" });
      await host.pulled(app.name, EACH);
      expect(host.prepared).toEqual({ lazily: 0, whole: 0, byContainerd: 3 });
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(await host.differences(app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    'serves an image without an index itself, with on_missing_index = "stream"',
    async () => {
      await using host = await ServeHost.start({ config: 'on_missing_index = "stream"\n' });
      const layers = [base, data, upper];
      const app = await host.put({ repository: "app", layers, index: "none" });
      await host.pulled(app.name, EACH);
      expect(host.prepared).toEqual({ lazily: 0, whole: 3, byContainerd: 0 });
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(await host.differences(app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "takes the index that the caller names",
    async () => {
      await using host = await ServeHost.start();
      const layers = [base, data, upper];
      const app = await host.put({ repository: "app", layers, index: "unnamed" });
      await host.pulled(app.name, [...EACH, "--soci-index-digest", app.indexDigest ?? ""]);
      expect(host.prepared).toEqual({ lazily: 3, whole: 0, byContainerd: 0 });
      const [used] = host.serve.recordsOf("fetching SOCI artifacts using index descriptor");
      expect(used?.["digest"]).toBe(app.indexDigest ?? "");
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "shows a user namespace its own ids",
    async () => {
      await using host = await ServeHost.start();
      // The user that is root inside has to find its root file system.
      await chmod(host.dir.path, 0o711);
      const owned = await buildLayer({
        entries: [
          directory("owned"),
          { name: "owned/by-root", content: "root" },
          { name: "owned/by-a-user", content: "user", uid: 1000, gid: 1001 },
          { name: "owned/by-nobody-here", content: "far", uid: 3_000_000, gid: 3_000_000 },
        ],
      });
      const app = await host.put({ repository: "app", layers: [base, owned] });
      await host.pulled(app.name);
      const map = ["--uidmap", "0:200000:65536", "--gidmap", "0:300000:65536", "--remap-labels"];
      const listed = await host.run(app.name, ["/bin/ls", "-ln", "/owned"], { flags: map });
      const owners = listed
        .trim()
        .split("\n")
        .slice(1)
        .map((line) => line.split(/\s+/))
        .map(([, , uid, gid, , , , , name]) => `${name} ${uid}:${gid}`);
      expect(owners).toEqual(["by-a-user 1000:1001", "by-nobody-here 65534:65534", "by-root 0:0"]);
      // What a container writes belongs to its own users.
      const script = "echo x > /owned/new && cat /owned/new";
      expect(await host.run(app.name, ["/bin/sh", "-c", script], { flags: map })).toBe("x\n");
    },
    PATIENCE_MS,
  );

  test.each([
    { title: "all that layers do to each other", make: layersOnEachOther },
    { title: "layers in every encoding", make: mixedLayers },
    { title: "devices, capabilities and ACLs", make: async () => [specialLayer()] },
  ])(
    "shows $title as overlayfs does",
    async ({ make }) => {
      await using host = await ServeHost.start();
      const app = await host.put({ repository: "app", layers: await make() });
      await host.pulled(app.name);
      expect(host.prepared.byContainerd).toBe(0);
      expect(await host.differences(app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );
});

const directory = (name: string, more: Partial<LayerEntry> = {}): LayerEntry => ({
  mode: 0o755,
  ...more,
  name: `${name}/`,
  type: "directory",
});

const LAYERS: readonly (readonly LayerEntry[])[] = [
  [
    directory("."),
    directory("etc"),
    { name: "etc/passwd", content: "root\n" },
    { name: "etc/shadow", content: "secret\n", mode: 0o640, gid: 42 },
    directory("opaque", { mode: 0o711 }),
    { name: "opaque/old", content: "old" },
    directory("gone"),
    { name: "gone/with-all-in-it", content: "old" },
    { name: "implied/parents/here", content: "here" },
    { name: "a-file", content: "a file" },
    directory("a-directory"),
    { name: "a-directory/inner", content: "inner" },
    { name: "usr/bin/perl", content: LARGE, mode: 0o755 },
    { name: "usr/bin/perl5", type: "link", linkname: "usr/bin/perl", mode: 0o755 },
    { name: "bin", type: "symlink", linkname: "usr/bin" },
  ],
  [
    directory("etc", { mode: 0o700 }),
    { name: "etc/passwd", content: "replaced\n", mode: 0o600 },
    { name: "etc/.wh.shadow", content: "" },
    directory("opaque", { mode: 0o750 }),
    { name: "opaque/.wh..wh..opq", content: "" },
    { name: "opaque/new", content: "new" },
    { name: ".wh.gone", content: "" },
    directory("a-file"),
    { name: "a-file/inner", content: "a directory now" },
    { name: "a-directory", content: "a file now" },
  ],
  [
    directory("gone"),
    { name: "gone/and-back", content: "back" },
    directory("opaque", { mode: 0o750 }),
    { name: "opaque/newer", content: "newer" },
    { name: "opaque/newest", type: "link", linkname: "opaque/newer" },
  ],
];

async function layersOnEachOther(): Promise<BuiltLayer[]> {
  return await Promise.all(LAYERS.map((entries) => buildLayer({ entries })));
}

async function mixedLayers(): Promise<BuiltLayer[]> {
  const encodings = ["none", "zstd", "gzip"] as const;
  const layers = await layersOnEachOther();
  return layers.map(({ tar }, i) => layerOf(tar, encodings[i] ?? "gzip"));
}
