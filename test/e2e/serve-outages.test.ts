import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "bun:test";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import { bytesOf, encodeZtoc } from "../../src/ztoc/encode-ztoc.ts";
import { FileTable } from "../../src/ztoc/file-table.ts";
import type { FileMetadata } from "../../src/ztoc/file-metadata.ts";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { NO_FILL, ServeHost } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(1_500_000, 29);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;
const SLEEP = ["/bin/sleep", "1000"];

let layers: readonly BuiltLayer[];

beforeAll(async () => {
  await buildSociable();
  const data = await buildLayer({ entries: [{ name: "data/large", content: LARGE }] });
  layers = [await runnableLayer(["sh", "sha256sum", "sleep", "dd"]), data];
}, PATIENCE_MS);

describeMounts(CONTAINERD_PROGRAMS, "a registry that fails sociable serve", () => {
  test(
    "for longer than reads wait gives errors, and bytes when it is back",
    async () => {
      await using host = await ServeHost.start({
        config: `${NO_FILL}[cache]\nread_timeout_sec = 2\n`,
      });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      await using container = await host.containerd.startContainer({
        image: app.name,
        snapshotter: "sociable",
        args: SLEEP,
      });
      await container.exec(["/bin/sha256sum", "/bin/sh"]);
      await host.proxy.down();
      const failed = await container.exec(HASH_IT);
      expect(failed.code).not.toBe(0);
      await host.proxy.up();
      const { stdout } = await container.exec(HASH_IT);
      expect(Buffer.from(stdout).toString()).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "by silence, while a container reads, does no harm when it speaks again",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      await using container = await host.containerd.startContainer({
        image: app.name,
        snapshotter: "sociable",
        args: SLEEP,
      });
      await container.exec(["/bin/sha256sum", "/bin/sh"]);
      host.proxy.stall();
      const reading = container.exec(HASH_IT);
      await Bun.sleep(1000);
      host.proxy.flow();
      const { stdout } = await reading;
      expect(Buffer.from(stdout).toString()).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test.each([401, 403, 429, 500, 503, 404])(
    "with %d in the middle of a read, once, is asked again",
    async (status) => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      host.registry.failNext(1, { status, method: "GET", path: /\/blobs\// });
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(host.registry.faultsLeft).toBe(0);
    },
    PATIENCE_MS,
  );

  test(
    "by answering slowly makes a pull slow, no more",
    async () => {
      await using host = await ServeHost.start({ manners: { answerDelayMs: 150 } });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name, ["--each-layer"]);
      expect(host.prepared).toEqual({ lazily: 2, whole: 0, byContainerd: 0 });
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );

  test(
    "at the pull's end only, after layers were prepared, is told of in time",
    async () => {
      await using host = await ServeHost.start({ config: `mount_timeout_sec = 2\n${NO_FILL}` });
      const app = await host.put({ repository: "app", layers });
      // The zTOCs never come: containerd is to unpack.
      host.proxy.order(1000, { kind: "stall", request: /^GET .*\/referrers\// });
      await host.pulled(app.name);
      expect(host.prepared.lazily).toBe(0);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );
});

/** The zTOC, with something in it that is not so. */
function changed(
  bytes: Uint8Array,
  {
    file = (row) => row,
    grow = 0,
    shrinkBlob = 0,
  }: {
    readonly file?: (row: FileMetadata) => FileMetadata;
    readonly grow?: number;
    readonly shrinkBlob?: number;
  },
): Uint8Array {
  const ztoc = decodeZtoc(bytes);
  const files = new FileTable();
  for (const row of ztoc.files) files.append(file(plain(row)));
  const { zinfo } = ztoc;
  return bytesOf(
    encodeZtoc({
      ...ztoc,
      uncompressedArchiveSize: ztoc.uncompressedArchiveSize + grow,
      compressedArchiveSize: ztoc.compressedArchiveSize - shrinkBlob,
      files,
      checkpoints: { size: zinfo.bytes.length, chunks: () => [zinfo.bytes] },
    }),
  );
}

/** Rows read their fields when asked: so that one can be changed, all are. */
function plain(row: FileMetadata): FileMetadata {
  const { name, type, uncompressedOffset, uncompressedSize, linkname, mode } = row;
  const { uid, gid, uname, gname, modTime, devmajor, devminor, xattrs } = row;
  const place = { uncompressedOffset, uncompressedSize };
  const owner = { uid, gid, uname, gname };
  return { name, type, linkname, mode, modTime, devmajor, devminor, xattrs, ...place, ...owner };
}

const isLarge = ({ uncompressedSize }: FileMetadata): boolean => uncompressedSize === LARGE.length;

describeMounts(CONTAINERD_PROGRAMS, "a zTOC that lies", () => {
  test.each([
    {
      title: "of a file, which ends before it says",
      lie: (bytes: Uint8Array) =>
        changed(bytes, {
          file: (row) =>
            isLarge(row) ? { ...row, uncompressedSize: row.uncompressedSize + 4096 } : row,
        }),
    },
    {
      title: "of the layer's uncompressed size, which is less",
      lie: (bytes: Uint8Array) => changed(bytes, { grow: 1 << 30 }),
    },
    {
      title: "of the layer's uncompressed size, which is more",
      lie: (bytes: Uint8Array) => changed(bytes, { grow: -1_000_000 }),
    },
    {
      title: "of the blob's size",
      lie: (bytes: Uint8Array) => changed(bytes, { shrinkBlob: 100 }),
    },
  ])(
    "$title harms no container",
    async ({ lie }) => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({
        repository: "app",
        layers,
        mangle: (ztoc, layer) => (layer === 1 ? lie(ztoc) : ztoc),
      });
      // The same layer over another one is another snapshot, and has a zTOC of its own.
      const healthy = await host.put({ repository: "healthy", layers: [...layers].reverse() });
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      expect(await host.differences(app.name)).toEqual([]);
      await host.pulled(healthy.name);
      expect(await host.run(healthy.name, HASH_IT)).toBe(HASHED);
    },
    PATIENCE_MS,
  );
});

describeMounts(CONTAINERD_PROGRAMS, "a damaged cache of sociable serve", () => {
  test.each([{ isRestarted: false }, { isRestarted: true }])(
    "is fetched again, with a restart between: $isRestarted",
    async ({ isRestarted }) => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const app = await host.put({ repository: "app", layers });
      await host.pulled(app.name);
      expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      if (isRestarted) await host.serve.stop();
      const cache = join(host.serve.root, "cache", "sha256");
      for (const name of await readdir(cache)) {
        const path = join(cache, name, "data");
        const bytes = await Bun.file(path).bytes();
        // Headers of the tar are part of nothing that is read: all of it is changed.
        await Bun.write(
          path,
          bytes.map((byte) => byte ^ 0x5a),
        );
      }
      if (isRestarted) await host.restartServe();
      // Past what the kernel remembers.
      const script = "dd if=/data/large iflag=direct bs=1M | sha256sum";
      expect(await host.run(app.name, ["/bin/sh", "-c", script])).toBe(`${SHA256}  -\n`);
    },
    PATIENCE_MS,
  );
});
