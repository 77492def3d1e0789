import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ContainerdClient } from "../../src/containerd/containerd-client.ts";
import {
  type PulledImage,
  pullImage,
  type PullImageOptions,
} from "../../src/containerd/pull-image.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { CONTAINERD_PROGRAMS, ContainerdProcess } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { rejectionOf } from "../support/failure.ts";
import { addImage, type BuiltImage, buildImage, buildIndex } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { FakeSnapshotter } from "./fake-snapshotter.ts";

const image = await buildImage({
  layers: [
    { entries: [{ name: "bottom", content: sampleBytes(200_000, 1) }] },
    {
      entries: [
        { name: "middle", content: "from the middle" },
        { name: "gone", content: "x" },
      ],
    },
    { entries: [{ name: ".wh.gone" }, { name: "top", content: sampleBytes(90_000, 3) }] },
  ],
});

/** Of its own, where it matters what the snapshotter has: what one namespace made another takes over. */
const threeLayers = (name: string): Promise<BuiltImage> =>
  buildImage({
    layers: [1, 2, 3].map((layer) => ({ entries: [{ name, content: `layer ${layer}` }] })),
  });

type PullOptions = Partial<Omit<PullImageOptions, "reference" | "source" | "client">>;

describeMounts(CONTAINERD_PROGRAMS, "pullImage()", () => {
  let directory: TempDir;
  let containerd: ContainerdProcess;
  let client: ContainerdClient;
  let registry: TestRegistry;
  let snapshotter: FakeSnapshotter;
  let lazy: (layer: string) => boolean = () => true;
  let namespaces = 0;

  beforeAll(async () => {
    directory = await tempDir();
    registry = TestRegistry.start();
    await addImage(registry, "app", { image, tag: "v1" });
    const socket = directory.join("fake.sock");
    snapshotter = await FakeSnapshotter.start({
      socket,
      directory: directory.join("snapshots"),
      isLazy: (labels) => lazy(labels["containerd.io/snapshot/cri.layer-digest"] ?? ""),
    });
    containerd = await ContainerdProcess.start({
      directory: directory.join("containerd"),
      proxySnapshotters: { fake: socket },
    });
    client = new ContainerdClient(containerd.address);
  });

  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await containerd[Symbol.asyncDispose]();
    await snapshotter[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const newNamespace = (): string => {
    namespaces += 1;
    return `n${namespaces}`;
  };

  const pull = async (name: string, options: PullOptions = {}): Promise<PulledImage> => {
    const text = `${registry.host}/${name}`;
    const { signal } = options;
    await using source = await openImageSource(text, { signal });
    return await pullImage({
      client,
      source,
      reference: parseReference(text),
      namespace: "default",
      snapshotter: "fake",
      ...options,
    });
  };

  /** Has containerd collect what nothing needs. */
  const collect = async (namespace: string): Promise<void> => {
    const { leases } = client.namespace(namespace);
    await leases.create("collect", { expires: new Date(Date.now() + 60_000) });
    await leases.delete("collect", { sync: true });
  };

  const leftOvers = async (namespace: string, name: string) => {
    await collect(namespace);
    const { content, images, leases, ...space } = client.namespace(namespace);
    return {
      images: (await images.list()).length,
      leases: (await leases.list()).length,
      content: (await Array.fromAsync(content.list())).length,
      snapshots: (await Array.fromAsync(space.snapshots(name).list())).map((one) => one.name),
    };
  };
  const NOTHING = { images: 0, leases: 0, content: 0, snapshots: [] };

  const blobRequests = (one: BuiltImage): number =>
    registry.requests.filter(({ path }) =>
      one.layers.some(({ descriptor }) => path.includes(descriptor.digest)),
    ).length;

  test("unpacks through an ordinary snapshotter what containerd then uses as its own", async () => {
    const namespace = newNamespace();
    const told: string[] = [];
    const pulled = await pull("app:v1", {
      namespace,
      snapshotter: "overlayfs",
      onLayer: ({ status }) => told.push(status),
    });
    expect(told).toEqual(["unpacked", "unpacked", "unpacked"]);
    expect(pulled).toMatchObject({
      name: `${registry.host}/app:v1`,
      target: { digest: image.descriptor.digest },
      platform: { os: "linux", architecture: "amd64" },
    });
    await collect(namespace);
    const check = await containerd.ctrOutput(["images", "check"], { namespace });
    expect(check).toMatch(/complete \(4\/4\).* true/);
    await using mounted = await containerd.mountImage(pulled.name, {
      snapshotter: "overlayfs",
      namespace,
    });
    expect(await readFile(join(mounted.directory, "middle"), "utf8")).toBe("from the middle");
    expect(digestOf(await readFile(join(mounted.directory, "top")))).toBe(
      digestOf(sampleBytes(90_000, 3)),
    );
    expect(await Bun.file(join(mounted.directory, "gone")).exists()).toBe(false);
  });

  test("has containerd's own labels on all that it makes", async () => {
    const namespace = newNamespace();
    const { chainId } = await pull("app:v1", { namespace, snapshotter: "native" });
    const { content, ...space } = client.namespace(namespace);
    const source = { [`containerd.io/distribution.source.${registry.host}`]: "app" };
    const [bottom] = image.layers;
    expect((await content.info(image.descriptor.digest))?.labels).toEqual({
      ...source,
      "containerd.io/gc.ref.content.config": image.config.descriptor.digest,
      ...Object.fromEntries(
        image.layers.map(({ descriptor }, position) => [
          `containerd.io/gc.ref.content.l.${position}`,
          descriptor.digest,
        ]),
      ),
    });
    expect((await content.info(image.config.descriptor.digest))?.labels).toEqual({
      ...source,
      "containerd.io/gc.ref.snapshot.native": String(chainId),
    });
    expect((await content.info(String(bottom?.descriptor.digest)))?.labels).toEqual({
      ...source,
      "containerd.io/uncompressed": digestOf(bottom?.tar ?? ""),
    });
    const snapshots = await Array.fromAsync(space.snapshots("native").list());
    expect(snapshots.map(({ kind }) => kind)).toEqual(["committed", "committed", "committed"]);
  });

  test("downloads nothing that is here already", async () => {
    const namespace = newNamespace();
    await pull("app:v1", { namespace, snapshotter: "native" });
    registry.clearRequests();
    const pulled = await pull("app:v1", { namespace, snapshotter: "native" });
    expect(pulled.layers.map(({ status }) => status)).toEqual(["present", "present", "present"]);
    expect(blobRequests(image)).toBe(0);
    await collect(namespace);
    expect(await client.namespace(namespace).images.get(pulled.name)).toBeDefined();
    const top = client.namespace(namespace).snapshots("native").stat(String(pulled.chainId));
    expect(await top).toMatchObject({ kind: "committed" });
  });

  test("downloads no layer that the snapshotter shows by itself, and tells it what it needs", async () => {
    const namespace = newNamespace();
    const shown = await threeLayers("shown");
    await addImage(registry, "shown", { image: shown, tag: "v1" });
    registry.clearRequests();
    snapshotter.prepared.length = 0;
    lazy = () => true;
    const index = digestOf("an index");
    const pulled = await pull("shown:v1", { namespace, index });
    expect(pulled.layers.map(({ status }) => status)).toEqual(["lazy", "lazy", "lazy"]);
    expect(blobRequests(shown)).toBe(0);
    const digests = shown.layers.map(({ descriptor }) => descriptor.digest);
    const sizes = shown.layers.map(({ descriptor }) => descriptor.size);
    expect(snapshotter.prepared.map(({ labels }) => labels)).toMatchObject(
      pulled.layers.map(({ chainId }, position) => ({
        "containerd.io/snapshot.ref": expect.stringContaining(chainId),
        "containerd.io/snapshot/cri.image-ref": pulled.name,
        "containerd.io/snapshot/cri.manifest-digest": shown.descriptor.digest,
        "containerd.io/snapshot/cri.layer-digest": digests[position],
        "containerd.io/snapshot/cri.image-layers": digests.slice(position).join(","),
        "containerd.io/snapshot/remote/soci.size": String(sizes[position]),
        "containerd.io/snapshot/remote/image.layers.size": sizes.slice(position).join(","),
        "containerd.io/snapshot/remote/soci.index.digest": index,
      })),
    );
    await collect(namespace);
    const { images, ...space } = client.namespace(namespace);
    expect(await images.get(pulled.name)).toMatchObject({ target: { size: expect.any(Number) } });
    const top = await space.snapshots("fake").stat(String(pulled.chainId));
    expect(top?.kind).toBe("committed");
  });

  test("downloads all from the first layer on that the snapshotter does not show", async () => {
    const namespace = newNamespace();
    const mixed = await threeLayers("mixed");
    await addImage(registry, "mixed", { image: mixed, tag: "v1" });
    const [bottom] = mixed.layers;
    lazy = (layer) => layer === bottom?.descriptor.digest;
    registry.clearRequests();
    const pulled = await pull("mixed:v1", { namespace });
    expect(pulled.layers.map(({ status }) => status)).toEqual(["lazy", "unpacked", "unpacked"]);
    expect(blobRequests(mixed)).toBe(2);
    lazy = () => true;
  });

  test("takes of an image for several platforms the one that is wanted", async () => {
    const namespace = newNamespace();
    const arm = await buildImage({
      layers: [{ entries: [{ name: "arm", content: "arm" }] }],
      platform: { os: "linux", architecture: "arm64" },
    });
    const index = buildIndex([
      { image, platform: { os: "linux", architecture: "amd64" } },
      { image: arm, platform: { os: "linux", architecture: "arm64" } },
    ]);
    await addImage(registry, "many", { image: index, tag: "v1" });
    const platform = { os: "linux", architecture: "arm64" };
    const pulled = await pull("many:v1", { namespace, platform });
    expect(pulled).toMatchObject({
      target: { digest: index.descriptor.digest },
      manifest: { digest: arm.descriptor.digest },
      platform,
    });
    await collect(namespace);
    const { content } = client.namespace(namespace);
    expect((await content.info(index.descriptor.digest))?.labels).toMatchObject({
      "containerd.io/gc.ref.content.m.1": arm.descriptor.digest,
    });
    expect(await content.info(arm.descriptor.digest)).toBeDefined();
    expect(await content.info(image.descriptor.digest)).toBeUndefined();
  });

  test("refuses a single manifest for another platform than was asked for", async () => {
    const namespace = newNamespace();
    const platform = { os: "linux", architecture: "riscv64" };
    expect(await rejectionOf(pull("app:v1", { namespace, platform }))).toMatchObject({
      kind: "not-found",
    });
    expect(await leftOvers(namespace, "fake")).toEqual(NOTHING);
  });

  test("pulls by digest, and an image without layers", async () => {
    const namespace = newNamespace();
    const empty = await buildImage({ layers: [] });
    await addImage(registry, "empty", { image: empty });
    const pulled = await pull(`empty@${empty.descriptor.digest}`, { namespace });
    expect(pulled).toMatchObject({ chainId: undefined, layers: [] });
    expect(pulled.name).toBe(`${registry.host}/empty@${empty.descriptor.digest}`);
  });

  test("moves a name that stood for another image", async () => {
    const namespace = newNamespace();
    const other = await buildImage({ layers: [{ entries: [{ name: "o", content: "other" }] }] });
    await addImage(registry, "moving", { image, tag: "v1" });
    await pull("moving:v1", { namespace });
    await addImage(registry, "moving", { image: other, tag: "v1" });
    const { name } = await pull("moving:v1", { namespace });
    const record = await client.namespace(namespace).images.get(name);
    expect(record?.target?.digest).toBe(other.descriptor.digest);
  });

  test("leaves nothing of an image whose layer is not what its config says", async () => {
    const namespace = newNamespace();
    const config = Buffer.from(
      JSON.stringify({
        os: "linux",
        architecture: "amd64",
        rootfs: { type: "layers", diff_ids: [digestOf("something else")] },
      }),
    );
    const [layer] = image.layers;
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: image.descriptor.mediaType,
        config: { ...image.config.descriptor, digest: digestOf(config), size: config.length },
        layers: [layer?.descriptor],
      }),
    );
    await registry.addBlob("lies", config);
    await registry.addBlob("lies", layer?.bytes ?? new Uint8Array());
    const { mediaType } = image.descriptor;
    registry.addManifest("lies", { tag: "v1", mediaType, bytes: manifest });
    const failed = await rejectionOf(pull("lies:v1", { namespace, snapshotter: "native" }));
    expect(failed).toMatchObject({ kind: "data-loss" });
    expect(await leftOvers(namespace, "native")).toEqual(NOTHING);
  });

  test("leaves nothing of an image whose layer is not there", async () => {
    const namespace = newNamespace();
    const half = await buildImage({
      layers: [
        { entries: [{ name: "a", content: "half, below" }] },
        { entries: [{ name: "b", content: "half, above" }] },
      ],
    });
    await registry.addBlob("half", half.config.bytes);
    await registry.addBlob("half", half.layers[0]?.bytes ?? new Uint8Array());
    const { mediaType } = half.descriptor;
    registry.addManifest("half", { tag: "v1", mediaType, bytes: half.manifest });
    const failed = await rejectionOf(pull("half:v1", { namespace, snapshotter: "overlayfs" }));
    expect(failed).toMatchObject({ kind: "not-found" });
    expect(await leftOvers(namespace, "overlayfs")).toEqual(NOTHING);
  });

  test("ends by its signal, and leaves nothing", async () => {
    const namespace = newNamespace();
    const controller = new AbortController();
    const reason = new Error("enough");
    const pulling = pull("app:v1", {
      namespace,
      snapshotter: "overlayfs",
      signal: controller.signal,
      onDownload: () => {
        controller.abort(reason);
        return { add: () => undefined, end: () => undefined };
      },
    });
    expect(await rejectionOf(pulling)).toBe(reason);
    expect(await leftOvers(namespace, "overlayfs")).toEqual(NOTHING);
  });

  test("lets several pull the same image at once", async () => {
    const namespace = newNamespace();
    const options = { namespace, snapshotter: "overlayfs" };
    const pulls = [1, 2, 3].map(() => pull("app:v1", options));
    const names = (await Promise.all(pulls)).map(({ chainId }) => chainId);
    expect(new Set(names).size).toBe(1);
    await collect(namespace);
    expect(await client.namespace(namespace).leases.list()).toEqual([]);
  });

  test("says which snapshotters there are, and how to add one", async () => {
    const failed = await rejectionOf(pull("app:v1", { snapshotter: "sociable" }));
    expect(failed).toMatchObject({
      kind: "failed-precondition",
      message: expect.stringMatching(/"sociable".*fake, native, overlayfs/),
      hint: expect.stringContaining("[proxy_plugins.sociable]"),
    });
  });

  test("says that containerd does not listen, whatever the registry does", async () => {
    await using other = new ContainerdClient(directory.join("nobody.sock"));
    const text = `${registry.host}/nothing:here`;
    await using source = await openImageSource(text);
    const pulling = pullImage({
      client: other,
      source,
      reference: parseReference(text),
      namespace: "default",
      snapshotter: "overlayfs",
    });
    expect(await rejectionOf(pulling)).toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("Cannot reach containerd"),
    });
  });
});
