import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ContainerdClient } from "../../src/containerd/containerd-client.ts";
import type { ContentInfo } from "../../src/containerd/api/content.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { CONTAINERD_PROGRAMS, ContainerdProcess } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { rejectionOf } from "../support/failure.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

/** Nothing but a lease or a label keeps content from being collected, whatever test happens to cause it. */
const KEPT = { "containerd.io/gc.root": "test" };

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe("ContainerdClient without containerd", () => {
  test("refuses an address that is no socket", () => {
    expect(() => new ContainerdClient("tcp://1.2.3.4:5")).toThrow(
      expect.objectContaining({ kind: "invalid-argument" }),
    );
  });

  test("says that nobody listens", async () => {
    await using directory = await tempDir();
    await using client = new ContainerdClient(directory.join("none.sock"));
    expect(await rejectionOf(client.version())).toMatchObject({ kind: "unavailable" });
  });

  test("throws the signal's reason", async () => {
    await using client = new ContainerdClient("unix:///nowhere.sock");
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    expect(await rejectionOf(client.version({ signal }))).toBe(reason);
  });
});

describeMounts(CONTAINERD_PROGRAMS, "ContainerdClient", () => {
  let directory: TempDir;
  let containerd: ContainerdProcess;
  let client: ContainerdClient;

  beforeAll(async () => {
    directory = await tempDir();
    containerd = await ContainerdProcess.start({ directory: directory.join("containerd") });
    client = new ContainerdClient(`unix://${containerd.address}`);
  });

  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await containerd[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  test("writes large blobs side by side", async () => {
    const { content } = client.namespace("side-by-side");
    for (let round = 0; round < 8; round++) {
      const blobs = [1, 2, 3].map((i) => sampleBytes(1_000_000, 10 * round + i));
      // Each with its first messages while the others are under way, as downloads are.
      const written = await Promise.all(
        blobs.map(async (bytes) => {
          const digest = digestOf(bytes);
          const open = async function* () {
            for await (const piece of pieces(bytes, 65_536)) {
              yield piece;
              await Bun.sleep(1);
            }
          };
          return await content.write({ digest, size: bytes.length }, open, {
            ref: `layer-${digest}`,
            labels: KEPT,
          });
        }),
      );
      expect(written).toEqual([{ existed: false }, { existed: false }, { existed: false }]);
    }
  });

  test("knows the version and the plugins", async () => {
    expect((await client.version()).version).toMatch(/^v?\d+\.\d+/);
    const plugins = await client.plugins(["type==io.containerd.snapshotter.v1,id==native"]);
    expect(plugins).toMatchObject([{ id: "native", initError: undefined }]);
  });

  test("needs a namespace that can be one", async () => {
    const { content } = client.namespace("no/good");
    expect(await rejectionOf(content.info(digestOf(Buffer.from("x"))))).toMatchObject({
      kind: "invalid-argument",
    });
    await client.namespaces.ensure("one");
    await client.namespaces.ensure("one");
    expect((await client.namespaces.list()).map(({ name }) => name)).toContain("one");
  });

  test.each([
    { title: "nothing", size: 0 },
    { title: "one message", size: 64 * 1024 },
    { title: "a byte more", size: 64 * 1024 + 1 },
    { title: "many messages", size: 3_000_000 },
  ])("writes and reads $title", async ({ size }) => {
    const { content } = client.namespace("content");
    const bytes = sampleBytes(size, 11);
    const blob = { digest: digestOf(bytes), size };
    const ref = `layer-${blob.digest}`;
    let sent = 0;
    const onBytes = (count: number): void => {
      sent += count;
    };
    const options = { ref, labels: { ...KEPT, a: "1" }, onBytes };
    const open = () => pieces(bytes, 10_000);
    expect(await content.write(blob, open, options)).toEqual({ existed: false });
    expect(sent).toBe(size);
    expect(await content.write(blob, open, { ref, labels: { b: "2" } })).toEqual({ existed: true });
    expect(await content.info(blob.digest)).toMatchObject({
      size,
      labels: { ...KEPT, a: "1", b: "2" },
    });
    const back = Buffer.concat(await Array.fromAsync(content.read(blob)));
    expect(digestOf(back)).toBe(blob.digest);
    const middle = { start: Math.floor(size / 3), end: Math.floor(size / 2) };
    const part = Buffer.concat(await Array.fromAsync(content.read(blob, middle)));
    expect(digestOf(part)).toBe(digestOf(bytes.subarray(middle.start, middle.end)));
    const filters = [`labels.a==1`];
    const infos: readonly ContentInfo[] = await Array.fromAsync(content.list(filters));
    expect(infos.map(({ digest }) => digest)).toContain(blob.digest);
    expect(await content.delete(blob.digest)).toBe(true);
    expect(await content.delete(blob.digest)).toBe(false);
    expect(await content.info(blob.digest)).toBeUndefined();
  });

  test("takes what another namespace has without its bytes", async () => {
    const bytes = sampleBytes(200_000, 12);
    const blob = { digest: digestOf(bytes), size: bytes.length };
    const ref = `layer-${blob.digest}`;
    const open = () => pieces(bytes, 50_000);
    await client.namespace("first").content.write(blob, open, { ref, labels: KEPT });
    const refused = (): never => {
      throw new Error("the bytes were asked for");
    };
    await client.namespace("second").content.write(blob, refused, { ref, labels: KEPT });
    expect(await client.namespace("second").content.info(blob.digest)).toMatchObject({
      size: blob.size,
    });
  });

  test("does not write bytes that are not those promised", async () => {
    const { content } = client.namespace("wrong");
    const bytes = sampleBytes(100_000, 13);
    const blob = { digest: digestOf(sampleBytes(10)), size: bytes.length };
    const writing = content.write(blob, () => pieces(bytes, 65_536), { ref: "wrong" });
    expect(await rejectionOf(writing)).toMatchObject({ kind: "failed-precondition" });
    expect(await content.info(blob.digest)).toBeUndefined();
  });

  test("goes on over what a write that was cut left", async () => {
    const { content } = client.namespace("cut");
    const bytes = sampleBytes(1_000_000, 14);
    const blob = { digest: digestOf(bytes), size: bytes.length };
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 300_000).map((byte) => byte ^ 1);
      throw new Error("the line broke");
    };
    const first = content.write(blob, broken, { ref: "cut" });
    expect(await rejectionOf(first)).toMatchObject({ message: "the line broke" });
    await content.write(blob, () => pieces(bytes, 65_536), { ref: "cut", labels: KEPT });
    expect(await content.info(blob.digest)).toMatchObject({ size: blob.size });
  });

  test("lets one of two write the same, and the other wait", async () => {
    const { content } = client.namespace("both");
    const bytes = sampleBytes(500_000, 15);
    const blob = { digest: digestOf(bytes), size: bytes.length };
    const ref = `layer-${blob.digest}`;
    const slow = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of pieces(bytes, 100_000)) {
        await Bun.sleep(20);
        yield piece;
      }
    };
    const outcomes = await Promise.all([
      content.write(blob, slow, { ref, labels: KEPT }),
      content.write(blob, slow, { ref, labels: KEPT }),
    ]);
    expect(outcomes.filter(({ existed }) => existed)).toHaveLength(1);
  });

  test("ends a write by its signal", async () => {
    const { content } = client.namespace("aborted");
    const controller = new AbortController();
    const reason = new Error("enough");
    const bytes = sampleBytes(500_000, 16);
    const blob = { digest: digestOf(bytes), size: bytes.length };
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 200_000);
      controller.abort(reason);
      yield bytes.subarray(200_000);
    };
    const { signal } = controller;
    const writing = content.write(blob, endless, { ref: "aborted", signal });
    expect(await rejectionOf(writing)).toBe(reason);
    expect(await content.info(blob.digest)).toBeUndefined();
  });

  test("reads what is not there as not-found", async () => {
    const { content } = client.namespace("none");
    const blob = { digest: digestOf(sampleBytes(10)), size: 10 };
    const reading = Array.fromAsync(content.read(blob));
    expect(await rejectionOf(reading)).toMatchObject({ kind: "not-found" });
  });

  test("makes, changes and deletes images", async () => {
    const { images } = client.namespace("images");
    const target = (text: string) => {
      const digest = digestOf(Buffer.from(text));
      return { mediaType: "application/x", digest, size: text.length, annotations: {} };
    };
    expect(await images.get("a:1")).toBeUndefined();
    await images.put("a:1", { target: target("one"), labels: { a: "1" } });
    await images.put("a:1", { target: target("two"), labels: { b: "2" } });
    expect(await images.get("a:1")).toMatchObject({
      name: "a:1",
      target: target("two"),
      labels: { a: "1", b: "2" },
    });
    expect((await images.list(["name==a:1"])).map(({ name }) => name)).toEqual(["a:1"]);
    expect(await images.delete("a:1", { sync: true })).toBe(true);
    expect(await images.delete("a:1")).toBe(false);
  });

  test("keeps what a lease holds, and no longer", async () => {
    const space = client.namespace("leases");
    await space.leases.create("mine", { expires: new Date(Date.now() + 3_600_000) });
    const bytes = sampleBytes(100, 17);
    const blob = { digest: digestOf(bytes), size: bytes.length };
    const { content } = space.withLease("mine");
    await content.write(blob, () => pieces(bytes, 100), { ref: "leased" });
    const resource = { id: blob.digest, type: "content" };
    await space.leases.addResource("mine", { resource });
    expect((await space.leases.list()).map(({ id }) => id)).toEqual(["mine"]);
    await space.leases.delete("mine", { sync: true });
    await space.leases.delete("mine");
    expect(await content.info(blob.digest)).toBeUndefined();
  });

  test("makes snapshots through any snapshotter", async () => {
    const space = client.namespace("snapshots");
    const snapshots = space.snapshots("native");
    expect(await snapshots.prepare("a", { labels: KEPT })).toMatchObject([{ type: "bind" }]);
    expect(await rejectionOf(snapshots.prepare("a"))).toMatchObject({ kind: "already-exists" });
    await snapshots.commit("a", { name: "base", labels: KEPT });
    expect(await snapshots.stat("base")).toMatchObject({ kind: "committed", parent: "" });
    expect(await snapshots.stat("a")).toBeUndefined();
    await snapshots.setLabels("base", { labels: { x: "y" } });
    expect((await snapshots.stat("base"))?.labels).toEqual({ ...KEPT, x: "y" });
    expect(await snapshots.view("v", { parent: "base", labels: KEPT })).toMatchObject([
      { type: "bind" },
    ]);
    expect(await snapshots.mounts("v")).toHaveLength(1);
    const listed = await Array.fromAsync(snapshots.list(['labels."x"==y']));
    expect(listed.map(({ name }) => name)).toEqual(["base"]);
    expect((await snapshots.usage("base")).inodes).toBeGreaterThan(0);
    expect(await rejectionOf(snapshots.remove("base"))).toMatchObject({
      kind: "failed-precondition",
    });
    await snapshots.remove("v");
    await snapshots.remove("base");
    const unknown = space.snapshots("nobody").prepare("a");
    expect(await rejectionOf(unknown)).toMatchObject({ kind: "invalid-argument" });
  });

  test("finds containerd again when it was started again", async () => {
    expect((await client.version()).version).not.toBe("");
    await containerd.restart();
    let answer: string | undefined;
    for (let tries = 0; tries < 50 && answer === undefined; tries += 1) {
      answer = await client.version().then(
        ({ version }) => version,
        () => undefined,
      );
      if (answer === undefined) await Bun.sleep(100);
    }
    expect(answer).toMatch(/\d/);
  });
});
