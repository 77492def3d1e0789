import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { isKind } from "../../src/errors.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { INDEX_DIGEST_ANNOTATION } from "../../src/soci/annotations.ts";
import { buildSociIndex, type LayerZtoc } from "../../src/soci/build-soci-index.ts";
import { encodeSociIndex } from "../../src/soci/soci-index.ts";
import type { BlobStore } from "./blob-store.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { addImage, type BuiltImage, type BuiltLayer, imageOf } from "./image-builder.ts";
import { buildZtoc } from "./indexed-layer.ts";
import { MountProcess } from "./mount-process.ts";
import {
  type CompareOrder,
  MountReader,
  type ReaderOptions,
  type ReaderReport,
} from "./mount-reader.ts";
import { mountTemp } from "./mount-temp.ts";
import { TestRegistry } from "./registry.ts";
import type { RegistryManners, RequestRecord } from "./registry-manners.ts";
import type { TempDir } from "./temp-dir.ts";

export interface StageOptions {
  readonly layers: readonly BuiltLayer[];
  /** What must be read of them, by path in the image. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** How the image names its index. Default: as a referrer. */
  readonly index?: "referrer" | "annotation" | "none";
  readonly spanSize?: number;
  readonly manners?: Partial<RegistryManners>;
  /** Where the registry keeps its blobs. */
  readonly blobs?: BlobStore;
}

export interface StageMountOptions {
  readonly flags?: readonly string[];
  /** Names below the stage's temp dir: other roots are other machines. */
  readonly root?: string;
  readonly directory?: string;
}

/** A registry with one image, a line to it that can fail, and the image's files to compare with. */
export class MountStage implements AsyncDisposable {
  readonly registry: TestRegistry;
  readonly proxy: FaultProxy;
  readonly temp: TempDir;
  /** Of the image, behind the proxy. */
  readonly name: string;
  readonly image: BuiltImage;
  readonly paths: readonly string[];
  /** Where the image's files lie to compare with. */
  readonly reference: string;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    parts: Pick<MountStage, "registry" | "proxy" | "temp" | "image" | "paths">,
    resources: AsyncDisposableStack,
  ) {
    this.registry = parts.registry;
    this.proxy = parts.proxy;
    this.temp = parts.temp;
    this.image = parts.image;
    this.paths = parts.paths;
    this.name = `${parts.proxy.host}/app:v1`;
    this.reference = parts.temp.join("reference");
    this.#resources = resources;
  }

  static async open(options: StageOptions): Promise<MountStage> {
    const { files, manners, blobs } = options;
    await using resources = new AsyncDisposableStack();
    const temp = resources.use(await mountTemp());
    const registry = resources.use(TestRegistry.start(manners, blobs));
    const proxy = resources.use(await FaultProxy.start(registry.host));
    const image = await putImage(registry, options);
    for (const [path, content] of files) {
      const at = temp.join("reference", path);
      await mkdir(dirname(at), { recursive: true });
      await Bun.write(at, content);
    }
    registry.clearRequests();
    const parts = { registry, proxy, temp, image, paths: [...files.keys()] };
    return new MountStage(parts, resources.move());
  }

  /** Mounts the image; whoever calls disposes it before the stage. */
  async mount({
    flags = [],
    root = "root",
    directory = "mnt",
  }: StageMountOptions = {}): Promise<MountProcess> {
    await mkdir(this.temp.join(directory), { recursive: true });
    return await MountProcess.start({
      root: this.temp.join(root),
      image: this.name,
      directory: this.temp.join(directory),
      flags,
    });
  }

  /** Starts to compare a mount's files with what they must be: all of them whole, unless told otherwise. */
  compare(
    mount: { readonly directory: string },
    { timeoutMs, prefix, ...order }: Partial<CompareOrder> & ReaderOptions = {},
  ): MountReader<ReaderReport> {
    const { reference, paths } = this;
    return MountReader.compare(
      { directory: mount.directory, reference, paths, ...order },
      {
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(prefix === undefined ? {} : { prefix }),
      },
    );
  }

  /** Requests for bytes of layers. */
  get layerRequests(): readonly RequestRecord[] {
    const digests = this.image.layers.map(({ descriptor }) => descriptor.digest);
    return this.registry.requests.filter(
      ({ method, path }) => method === "GET" && digests.some((digest) => path.includes(digest)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** Only bytes that are right, and no failures; whatever else a report says. */
export const ALL_RIGHT = { wrong: [], errors: [] } as const;

async function putImage(
  registry: TestRegistry,
  { layers, index = "referrer", spanSize = 65_536 }: StageOptions,
): Promise<BuiltImage> {
  const plain = imageOf(layers);
  if (index === "none") {
    await addImage(registry, "app", { image: plain, tag: "v1" });
    return plain;
  }
  const ztocs = await putZtocs(registry, { layers, spanSize });
  const version = index === "annotation" ? "v2" : "v1";
  const soci = buildSociIndex(ztocs, { version, imageManifest: plain.descriptor });
  const bytes = encodeSociIndex(soci);
  const { digest } = registry.addManifest("app", { mediaType: OCI_MANIFEST, bytes });
  const image =
    index === "annotation"
      ? imageOf(layers, { annotations: { [INDEX_DIGEST_ANNOTATION]: digest } })
      : plain;
  await addImage(registry, "app", { image, tag: "v1" });
  return image;
}

/** Of the layers that can have one: also those of sparse files, which nobody can read through it. */
async function putZtocs(
  registry: TestRegistry,
  { layers, spanSize }: { readonly layers: readonly BuiltLayer[]; readonly spanSize: number },
): Promise<LayerZtoc[]> {
  const ztocs: LayerZtoc[] = [];
  for (const { bytes, descriptor: layer } of layers) {
    if (layer.mediaType.endsWith("zstd")) continue;
    const algorithm = layer.mediaType.endsWith("tar") ? "uncompressed" : "gzip";
    try {
      const ztoc = await buildZtoc(once(bytes), { algorithm, spanSize }, async (built) =>
        Buffer.concat(await Array.fromAsync(built.chunks(), (chunk) => chunk.slice())),
      );
      const digest = await registry.addBlob("app", ztoc);
      ztocs.push({ digest, size: ztoc.length, layer, spanSize, disableXattrs: false });
    } catch (error) {
      if (!isKind(error, "unsupported")) throw error;
    }
  }
  return ztocs;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
