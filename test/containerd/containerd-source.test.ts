import { afterAll, beforeAll, expect, test } from "bun:test";
import { ContainerdClient } from "../../src/containerd/containerd-client.ts";
import { ContainerdDestination } from "../../src/containerd/containerd-destination.ts";
import { ContainerdSource } from "../../src/containerd/containerd-source.ts";
import { leaseForWork } from "../../src/containerd/work-lease.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { describeImageSource } from "../suite/image-source.ts";
import { collectGarbage } from "../support/containerd-garbage.ts";
import { putContainerdImage } from "../support/containerd-image.ts";
import { CONTAINERD_PROGRAMS, ContainerdProcess } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { rejectionOf } from "../support/failure.ts";
import { addImage, type BuiltImage, buildImage, buildIndex } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const NAME = "registry.example/app:v1";

const built = await buildImage({
  layers: [
    { entries: [{ name: "big", content: sampleBytes(300_000, 5) }] },
    { entries: [{ name: "small", content: "small" }] },
  ],
});

describeMounts(CONTAINERD_PROGRAMS, "images in containerd", () => {
  let directory: TempDir;
  let containerd: ContainerdProcess;
  let client: ContainerdClient;
  let namespaces = 0;

  beforeAll(async () => {
    directory = await tempDir();
    containerd = await ContainerdProcess.start({ directory: directory.join("containerd") });
    client = new ContainerdClient(containerd.address);
  });

  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await containerd[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const newSpace = () => {
    namespaces += 1;
    return client.namespace(`source-${namespaces}`);
  };

  const opened = async (image: BuiltImage, without: readonly string[] = []) => {
    const space = newSpace();
    await putContainerdImage(space, { name: NAME, image, without });
    return { space, source: new ContainerdSource({ name: NAME, space, image: NAME }) };
  };

  describeImageSource({
    name: "ContainerdSource",
    open: async (image) => {
      const { source } = await opened(image);
      return { source, [Symbol.asyncDispose]: () => source[Symbol.asyncDispose]() };
    },
  });

  test("root() throws not-found, with the Go tool's words, when containerd has no such image", async () => {
    await using source = new ContainerdSource({ name: NAME, space: newSpace(), image: NAME });
    expect(await rejectionOf(source.root())).toMatchObject({
      kind: "not-found",
      message: `image "${NAME}": not found`,
    });
  });

  test("blob() of a layer that was never pulled throws not-found, with a hint", async () => {
    const [layer] = built.layers;
    const { source } = await opened(built, layer === undefined ? [] : [layer.descriptor.digest]);
    await using _source = source;
    const read = Array.fromAsync(source.blob(layer?.descriptor ?? built.descriptor));
    expect(await rejectionOf(read)).toMatchObject({
      kind: "not-found",
      message: expect.stringContaining(`content digest ${layer?.descriptor.digest}: not found`),
      hint: expect.stringContaining("pull it"),
    });
  });

  test("blobs that were never pulled come from the fallback, which is opened once and closed", async () => {
    await using registry = TestRegistry.start();
    await addImage(registry, "app", { image: built, tag: "v1" });
    const space = newSpace();
    const without = built.layers.map(({ descriptor }) => descriptor.digest);
    await putContainerdImage(space, { name: NAME, image: built, without });
    let opens = 0;
    let closes = 0;
    {
      await using source = new ContainerdSource({
        name: NAME,
        space,
        image: NAME,
        fallback: async () => {
          opens += 1;
          const origin = await openImageSource(`${registry.host}/app:v1`);
          return {
            blob: (...args) => origin.blob(...args),
            blobRange: (...args) => origin.blobRange(...args),
            [Symbol.asyncDispose]: async () => {
              closes += 1;
              await origin[Symbol.asyncDispose]();
            },
          };
        },
      });
      for (const { descriptor, bytes } of [built.config, ...built.layers]) {
        const got = Buffer.concat(await Array.fromAsync(source.blob(descriptor)));
        expect(got.equals(bytes)).toBe(true);
        const range = { start: 3, end: 40 };
        const part = Buffer.concat(await Array.fromAsync(source.blobRange(descriptor, range)));
        expect(part.equals(bytes.subarray(3, 40))).toBe(true);
      }
    }
    expect({ opens, closes }).toEqual({ opens: 1, closes: 1 });
  });

  test("a source whose fallback was never needed opens none", async () => {
    const space = newSpace();
    await putContainerdImage(space, { name: NAME, image: built });
    await using source = new ContainerdSource({
      name: NAME,
      space,
      image: NAME,
      fallback: () => Promise.reject(new Error("nobody should ask")),
    });
    const [layer] = built.layers;
    const got = await Array.fromAsync(source.blob(layer?.descriptor ?? built.descriptor));
    expect(Buffer.concat(got).length).toBe(layer?.bytes.length ?? 0);
  });

  test("what a destination wrote is kept by its image's name, and goes with it", async () => {
    const space = newSpace();
    const index = buildIndex([{ image: built, platform: { architecture: "amd64", os: "linux" } }]);
    await putContainerdImage(space, { name: NAME, image: index });
    const digests = [index, built, built.config, ...built.layers].map(
      ({ descriptor }) => descriptor.digest,
    );
    await collectGarbage(space);
    for (const digest of digests) expect(await space.content.info(digest)).toBeDefined();
    await space.images.delete(NAME, { sync: true });
    for (const digest of digests) expect(await space.content.info(digest)).toBeUndefined();
  });

  test("what a destination wrote without finishing is collected with its lease", async () => {
    const space = newSpace();
    {
      await using lease = await leaseForWork(space, { what: "test" });
      await using destination = new ContainerdDestination({
        name: NAME,
        space: lease.space,
        image: NAME,
        isSourcePlace: false,
      });
      await destination.putBlob(built.config.descriptor, () => [built.config.bytes]);
      await collectGarbage(space);
      expect(await space.content.info(built.config.descriptor.digest)).toBeDefined();
    }
    await collectGarbage(space);
    expect(await space.content.info(built.config.descriptor.digest)).toBeUndefined();
    expect(await space.images.get(NAME)).toBeUndefined();
  });

  test("a destination refuses bytes that are not those of their descriptor", async () => {
    const space = newSpace();
    await using lease = await leaseForWork(space, { what: "test" });
    await using destination = new ContainerdDestination({
      name: NAME,
      space: lease.space,
      image: NAME,
      isSourcePlace: false,
    });
    // What another namespace has need not be sent, and is right whatever is offered.
    const bytes = Buffer.from(`{"only":"${crypto.randomUUID()}"}`);
    const { mediaType } = built.config.descriptor;
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    const wrong = Buffer.from(bytes).fill(0x20, 3, 6);
    await rejectionOf(destination.putBlob(descriptor, () => [wrong]));
    expect(await space.content.info(descriptor.digest)).toBeUndefined();
  });

  test("a source says that containerd has gone", async () => {
    await using gone = new ContainerdClient(directory.join("nobody.sock"));
    await using source = new ContainerdSource({
      name: NAME,
      space: gone.namespace("default"),
      image: NAME,
    });
    expect(await rejectionOf(source.root())).toMatchObject({ kind: "unavailable" });
  });
});
