import { writeFile } from "node:fs/promises";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { describeImageSource, type OpenedSource } from "../suite/image-source.ts";
import {
  addImage,
  buildDockerArchive,
  buildOciArchive,
  type BuiltImage,
  writeLayout,
} from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { tempDir } from "../support/temp-dir.ts";

const MANNERS: readonly { readonly title: string; readonly manners: Partial<RegistryManners> }[] = [
  { title: "a registry", manners: {} },
  { title: "a registry without Referrers API", manners: { referrersApi: false } },
  { title: "a registry that does not do ranges", manners: { ignoreRange: true } },
  { title: "a registry of short ranges", manners: { maxRangeBytes: 100_000 } },
  { title: "a registry that wants a token", manners: { auth: { kind: "bearer" } } },
  {
    title: "a registry that labels blobs with Content-Encoding",
    manners: { contentEncodingGzipOnBlobs: true },
  },
];

for (const { title, manners } of MANNERS) {
  describeImageSource({
    name: title,
    open: async (image) => {
      const registry = TestRegistry.start(manners);
      await addImage(registry, "team/app", { image, tag: "v1" });
      return await owned(`${registry.host}/team/app:v1`, registry);
    },
  });
}

describeImageSource({
  name: "a registry that redirects to a store",
  open: async (image) => {
    await using cleanup = new AsyncDisposableStack();
    const store = cleanup.use(TestRegistry.start());
    await addImage(store, "store", { image });
    const redirectBlobsTo = `${store.url}/v2/store/blobs/`;
    const registry = cleanup.use(TestRegistry.start({ redirectBlobsTo }));
    await addImage(registry, "app", { image, tag: "v1" });
    return await owned(`${registry.host}/app:v1`, cleanup.move());
  },
});

describeImageSource({
  name: "oci:",
  open: (image) =>
    inTempDir(image, async (dir) => {
      await writeLayout(`${dir}/layout`, { image, tag: "v1" });
      return `oci:${dir}/layout:v1`;
    }),
});

describeImageSource({
  name: "oci-archive:",
  open: (image) =>
    inTempDir(image, async (dir) => {
      await writeFile(`${dir}/image.tar`, await buildOciArchive(image, { tag: "v1" }));
      return `oci-archive:${dir}/image.tar:v1`;
    }),
});

describeImageSource({
  name: "docker-archive:",
  open: (image) =>
    inTempDir(image, async (dir) => {
      const tags = ["registry.test/app:v1"];
      await writeFile(`${dir}/image.tar`, await buildDockerArchive(image, { tags }));
      return `docker-archive:${dir}/image.tar:registry.test/app:v1`;
    }),
});

async function inTempDir(
  image: BuiltImage,
  write: (dir: string, image: BuiltImage) => Promise<string>,
): Promise<OpenedSource> {
  await using cleanup = new AsyncDisposableStack();
  const dir = cleanup.use(await tempDir());
  const name = await write(dir.path, image);
  return await owned(name, cleanup.move());
}

async function owned(name: string, place: AsyncDisposable): Promise<OpenedSource> {
  await using cleanup = new AsyncDisposableStack();
  cleanup.use(place);
  const source = cleanup.use(await openImageSource(name));
  const all = cleanup.move();
  return { source, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
