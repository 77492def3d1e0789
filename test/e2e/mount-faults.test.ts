import { beforeAll, expect, test } from "bun:test";
import { isDigest } from "../../src/oci/digest.ts";
import { type BlobStore, memoryBlobs } from "../support/blob-store.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { LARGE, mountSample } from "../support/mount-sample.ts";
import { ALL_RIGHT, MountStage } from "../support/mount-stage.ts";
import { buildSociable } from "../support/sociable-binary.ts";

beforeAll(buildSociable, 120_000);

const sample = await mountSample({ largeBytes: 2_500_000, smallFiles: 15 });

/** Requests for layers. */
const LAYERS = new RegExp(
  sample.layers.map(({ descriptor }) => `/blobs/${descriptor.digest}`).join("|"),
);

describeMounts([], "a mount whose registry has faults gives right bytes alone:", () => {
  test.each<{ title: string; order: (stage: MountStage) => void }>([
    {
      title: "silence in the middle of answers",
      order: ({ proxy }) => proxy.order(2, { kind: "stall", afterBytes: 20_000, request: LAYERS }),
    },
    {
      title: "silence instead of answers",
      order: ({ proxy }) => proxy.order(2, { kind: "stall", request: LAYERS }),
    },
    {
      title: "5xx",
      order: ({ registry }) => {
        for (const status of [500, 502, 503, 504]) registry.failNext(2, { status, path: LAYERS });
      },
    },
    {
      title: "429 with Retry-After",
      order: ({ registry }) =>
        registry.failNext(2, { status: 429, headers: { "retry-after": "1" }, path: LAYERS }),
    },
    {
      title: "403 now and then",
      order: ({ registry }) => registry.failNext(2, { status: 403, path: LAYERS }),
    },
    {
      title: "404 once, as of a mirror in between",
      order: ({ registry }) => registry.failNext(1, { status: 404, path: LAYERS }),
    },
    {
      title: "truncated bodies",
      order: ({ registry }) => registry.cutNext(6, { at: 30_000, path: LAYERS }),
    },
    {
      title: "bodies that end before they begin",
      order: ({ registry }) => registry.cutNext(6, { at: 0, path: LAYERS }),
    },
    {
      title: "wrong bytes, three times",
      order: ({ registry }) => registry.corruptNext(3, { at: 1000, path: LAYERS }),
    },
    {
      title: "connections that are reset in the middle",
      order: ({ proxy }) => proxy.order(8, { kind: "reset", afterBytes: 25_000, request: LAYERS }),
    },
    {
      title: "connections that are reset before the answer",
      order: ({ proxy }) => proxy.order(8, { kind: "reset", request: LAYERS }),
    },
    {
      title: "connections that end in the middle",
      order: ({ proxy }) => proxy.order(8, { kind: "close", afterBytes: 40_000, request: LAYERS }),
    },
    {
      title: "the whole blob for a range",
      order: ({ registry }) => {
        registry.manners.ignoreRange = true;
      },
    },
    {
      title: "416 for a range",
      order: ({ registry }) => registry.failNext(2, { status: 416, path: LAYERS }),
    },
    {
      title: "less than was asked for",
      order: ({ registry }) => {
        registry.manners.maxRangeBytes = 50_000;
      },
    },
    {
      title: "multipart answers",
      order: ({ registry }) => {
        registry.manners.multipartRanges = true;
      },
    },
    {
      title: "blobs labelled Content-Encoding: gzip",
      order: ({ registry }) => {
        registry.manners.contentEncodingGzipOnBlobs = true;
      },
    },
    {
      title: "a connection for each answer",
      order: ({ registry }) => {
        registry.manners.closeConnections = true;
      },
    },
    {
      title: "all of it at once",
      order: ({ registry, proxy }) => {
        registry.failNext(2, { status: 503, path: LAYERS });
        registry.corruptNext(2, { at: 100, path: LAYERS });
        registry.cutNext(2, { at: 10_000, path: LAYERS });
        proxy.order(2, { kind: "reset", afterBytes: 5000, request: LAYERS });
        registry.manners.maxRangeBytes = 200_000;
      },
    },
  ])("$title", async ({ order }) => {
    await using stage = await MountStage.open(sample);
    await using mount = await stage.mount();
    order(stage);
    await using whole = stage.compare(mount);
    await using random = stage.compare(mount, { reads: 60, isDirect: true });
    expect(await whole.result).toMatchObject(ALL_RIGHT);
    expect(await random.result).toMatchObject(ALL_RIGHT);
    expect(stage.registry.faultsLeft + stage.proxy.faultsLeft).toBe(0);
  });

  test("layers without an index, through faults of all kinds", async () => {
    await using stage = await MountStage.open({ ...sample, index: "none" });
    const { registry, proxy } = stage;
    registry.failNext(1, { status: 503, path: LAYERS });
    registry.corruptNext(1, { at: 100_000, path: LAYERS });
    proxy.order(2, { kind: "reset", afterBytes: 300_000, request: LAYERS });
    await using mount = await stage.mount();
    await using reader = stage.compare(mount);
    expect(await reader.result).toMatchObject(ALL_RIGHT);
    expect(registry.faultsLeft + proxy.faultsLeft).toBe(0);
  });

  test("links to storage that expire in the middle", async () => {
    const blobs = memoryBlobs();
    await using stage = await MountStage.open({ ...sample, blobs });
    let key = 0;
    let asked = 0;
    await using storage = startStorage(blobs, (given) => {
      asked += 1;
      // Every fourth request finds its link expired.
      if (asked % 4 === 0) key += 1;
      return given === String(key);
    });
    stage.registry.manners.redirectBlobsTo = (digest) => `${storage.url}${digest}?key=${key}`;
    await using mount = await stage.mount();
    await using whole = stage.compare(mount);
    await using random = stage.compare(mount, { reads: 60, isDirect: true });
    expect(await whole.result).toMatchObject(ALL_RIGHT);
    expect(await random.result).toMatchObject(ALL_RIGHT);
    expect(asked).toBeGreaterThan(4);
  });

  test("tokens that expire in the middle", async () => {
    const manners = { auth: { kind: "bearer" } } as const;
    await using stage = await MountStage.open({ ...sample, manners });
    await using mount = await stage.mount();
    await using reader = stage.compare(mount, { untilStopped: true, isDirect: true });
    for (let i = 0; i < 5; i++) {
      stage.registry.revokeTokens();
      await Bun.sleep(100);
    }
    expect(await reader.stop()).toMatchObject(ALL_RIGHT);
    await using whole = stage.compare(mount);
    expect(await whole.result).toMatchObject(ALL_RIGHT);
  });

  test("a registry that is gone for a while: readers wait, and it is said once", async () => {
    await using stage = await MountStage.open(sample);
    await using mount = await stage.mount();
    await stage.proxy.down();
    await using whole = stage.compare(mount);
    await using random = stage.compare(mount, { reads: 20, isDirect: true });
    await Bun.sleep(3000);
    await stage.proxy.up();
    expect(await whole.result).toMatchObject(ALL_RIGHT);
    expect(await random.result).toMatchObject(ALL_RIGHT);
    expect(mount.stderr.match(/does not answer/g)).toHaveLength(1);
  });

  test("a line that hangs for a while", async () => {
    await using stage = await MountStage.open(sample);
    await using mount = await stage.mount();
    stage.proxy.stall();
    await using whole = stage.compare(mount);
    await Bun.sleep(2000);
    stage.proxy.flow();
    expect(await whole.result).toMatchObject(ALL_RIGHT);
  });
});

/** Where a registry says that its blobs are: answers by key, else 403. */
function startStorage(blobs: BlobStore, isGood: (key: string | null) => boolean) {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async ({ url, headers }) => {
      const { pathname, searchParams } = new URL(url);
      if (!isGood(searchParams.get("key"))) return new Response("expired", { status: 403 });
      const digest = pathname.slice(1);
      const blob = isDigest(digest) ? await blobs.get(digest) : undefined;
      if (blob === undefined) return new Response(null, { status: 404 });
      const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "") ?? [];
      if (start === undefined || last === undefined) return new Response(blob);
      return new Response(blob.slice(Number(start), Number(last) + 1), {
        status: 206,
        headers: { "content-range": `bytes ${start}-${last}/${blob.size}` },
      });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/`,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

describeMounts([], "a mount whose registry is gone for good", () => {
  test("fails reads with EIO after --read-timeout, and says why", async () => {
    await using stage = await MountStage.open(sample);
    await using mount = await stage.mount({ flags: ["--read-timeout", "1s"] });
    await using before = stage.compare(mount, { paths: ["usr/share/small/file-3"] });
    expect(await before.result).toMatchObject(ALL_RIGHT);
    await stage.proxy.down();
    await using reader = stage.compare(mount, { paths: [LARGE], reads: 1, isDirect: true });
    const report = await reader.result;
    expect(report).toMatchObject({ wrong: [], errors: [expect.stringMatching(/^EIO: /)] });
    expect(report.slowestMs).toBeGreaterThan(900);
    expect(report.slowestMs).toBeLessThan(10_000);
    const lines = mount.stderr.split("\n").filter((line) => / error /.test(line));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(stage.image.layers[0]?.descriptor.digest);
    expect(lines[0]).toContain(stage.name);
    // What is here is served on, and the rest as soon as the registry is back.
    await using cached = stage.compare(mount, {
      paths: ["usr/share/small/file-3"],
      isDirect: true,
    });
    expect(await cached.result).toMatchObject(ALL_RIGHT);
    await stage.proxy.up();
    await using again = stage.compare(mount);
    expect(await again.result).toMatchObject(ALL_RIGHT);
  });

  test("fails reads of bytes that stay wrong, and says of which layer and span", async () => {
    await using stage = await MountStage.open(sample);
    await using mount = await stage.mount();
    stage.registry.corruptNext(1000, { at: 5000, path: LAYERS });
    await using reader = stage.compare(mount, { paths: ["usr/share/small/file-3"] });
    const report = await reader.result;
    expect(report.wrong).toEqual([]);
    expect(report.errors).toEqual([expect.stringMatching(/^EIO: /)]);
    expect(mount.stderr).toMatch(/ error .*sha256:[0-9a-f]{64}.*span=\d+/);
  });

  test("lets its readers be killed at once, and ends itself at once", async () => {
    await using stage = await MountStage.open(sample);
    await using mount = await stage.mount();
    stage.proxy.stall();
    const readers = ["usr/share/small/file-3", LARGE].map((path) =>
      stage.compare(mount, { paths: [path], isDirect: true }),
    );
    await using _one = readers[0];
    await using _two = readers[1];
    await Bun.sleep(500);
    // 100 ms are promised; a busy machine may need more to end a process.
    for (const reader of readers) expect(await reader.killed()).toBeLessThan(500);
    // The server has no use any more for what they wanted.
    stage.proxy.flow();
    await using again = stage.compare(mount);
    expect(await again.result).toMatchObject(ALL_RIGHT);
  });
});
