import { beforeAll, expect, test } from "bun:test";
import { ContainerdClient } from "../../src/containerd/containerd-client.ts";
import { MNT_DETACH, sysMount, sysUmount } from "../../src/sys/libc.ts";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { NO_FILL, ServeHost, SNAPSHOTTER } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(2_000_000, 43);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;
const MANY = 20;

let layers: readonly BuiltLayer[];

beforeAll(async () => {
  await buildSociable();
  const shell = await readFile(Bun.which("id") ?? "");
  layers = [
    await runnableLayer(["sh", "cat", "sha256sum", "sleep", "id", "ls", "rm", "ln", "setpriv"]),
    await buildLayer({
      entries: [
        { name: "data/large", content: LARGE },
        { name: "data/same-as-large", type: "link", linkname: "data/large" },
        { name: "data/old", content: "old\n" },
        { name: "bin/id-as-root", content: new Uint8Array(shell), mode: 0o4755 },
        {
          name: "dev/zero-of-ours",
          type: "character-device",
          mode: 0o666,
          devmajor: 1,
          devminor: 5,
        },
      ],
    }),
  ];
}, PATIENCE_MS);

describeMounts(CONTAINERD_PROGRAMS, "containers of sociable serve", () => {
  test(
    "honour set-user-ID programs, and write to, link and remove what layers have",
    async () => {
      await using host = await ServeHost.start();
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      const asUser = ["/bin/setpriv", "--reuid", "1000", "--clear-groups"];
      const idOf = async (program: string): Promise<string> =>
        await host.run(app.name, [...asUser, program, "-u"], { flags: ["--allow-new-privs"] });
      expect(await idOf("/bin/id-as-root")).toBe("0\n");
      expect(await idOf("/bin/id")).toBe("1000\n");
      const script = [
        "echo more >> /data/old && cat /data/old",
        "ln /data/large /data/third && rm /data/large && sha256sum < /data/third",
        "sha256sum < /data/same-as-large",
        "rm -r /data && ls /data 2>/dev/null || echo gone",
      ].join(" && ");
      expect(await host.run(app.name, ["/bin/sh", "-c", script])).toBe(
        `old\nmore\n${SHA256}  -\n${SHA256}  -\ngone\n`,
      );
      // Nothing of it is seen by the next one.
      expect(await host.run(app.name, ["/bin/cat", "/data/old"])).toBe("old\n");
      expect(await host.differences(app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "are made of what another one has written, and was committed",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      await using client = new ContainerdClient(host.serve.address);
      const snapshots = client.namespace("default").snapshots(SNAPSHOTTER);
      // Of this image there is one snapshot, of all layers.
      const [top] = await Array.fromAsync(snapshots.list());
      const directory = host.dir.join("rootfs");
      await mkdir(directory);
      const mounted = async (
        mounts: Awaited<ReturnType<typeof snapshots.prepare>>,
        work: () => Promise<void>,
      ): Promise<void> => {
        const [mount] = mounts;
        if (mount === undefined) throw new Error("no mount");
        const { source, type, options } = mount;
        const data = options.filter((option) => option !== "ro").join(",");
        if (sysMount({ source, target: directory, type, flags: 0, data }) < 0) {
          throw new Error(`cannot mount ${type} ${data}`);
        }
        try {
          await work();
        } finally {
          sysUmount(directory, MNT_DETACH);
        }
      };
      await mounted(await snapshots.prepare("build", { parent: top?.name ?? "" }), async () => {
        await writeFile(`${directory}/data/new`, "new\n");
        await writeFile(`${directory}/data/old`, "changed\n");
      });
      await snapshots.commit("build", { name: "built" });
      expect((await snapshots.usage("built")).size).toBeGreaterThan(0);
      const check = async (): Promise<void> => {
        expect(await Bun.file(`${directory}/data/new`).text()).toBe("new\n");
        expect(await Bun.file(`${directory}/data/old`).text()).toBe("changed\n");
        const large = await Bun.file(`${directory}/data/large`).bytes();
        expect(new Bun.CryptoHasher("sha256").update(large).digest("hex")).toBe(SHA256);
      };
      await mounted(await snapshots.prepare("from-it", { parent: "built" }), check);
      await mounted(await snapshots.view("view-of-it", { parent: "built" }), check);
      // It goes on from there after a restart.
      await host.serve.kill();
      await host.restartServe();
      await using again = new ContainerdClient(host.serve.address);
      const restored = again.namespace("default").snapshots(SNAPSHOTTER);
      await mounted(await restored.mounts("from-it"), check);
    },
    PATIENCE_MS,
  );

  test(
    `start ${MANY} at once from a cold image, and each byte is fetched once`,
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      const runs = Array.from({ length: MANY }, () => host.run(app.name, HASH_IT));
      expect(new Set(await Promise.all(runs))).toEqual(new Set([HASHED]));
      for (const { descriptor } of app.image.layers) {
        const ranges = host
          .layerRequests(app)
          .filter(({ path }) => path.includes(descriptor.digest))
          .map(({ range = "" }) => /^bytes=(\d+)-(\d+)$/.exec(range))
          .map((match) => ({ start: Number(match?.[1]), end: Number(match?.[2]) + 1 }))
          .toSorted((a, b) => a.start - b.start);
        expect(ranges.length).toBeGreaterThan(0);
        const twice = ranges.slice(1).filter(({ start }, i) => {
          // Neighbours may share a byte, and the gzip header is nobody's span.
          const before = ranges[i]?.end ?? 0;
          return start + 1 < before;
        });
        expect(twice).toEqual([]);
      }
    },
    PATIENCE_MS,
  );
});
