import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { WaitOptions } from "../../async/wait-options.ts";
import { artifactLabels, sociIndexLabels, sociIndexLabelsOf } from "../../containerd/gc-labels.ts";
import type { ContainerdNamespace } from "../../containerd/containerd-client.ts";
import { keepContent } from "../../containerd/work-lease.ts";
import { writeLeased } from "../../containerd/write-leased.ts";
import { SociError } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { fileChunks } from "../../oci/file-chunks.ts";
import { TemporaryStage } from "../../oci/temporary-stage.ts";
import { PREFETCH_MEDIA_TYPE, ZTOC_MEDIA_TYPE } from "../../soci/annotations.ts";
import type { Artifact } from "../../soci/artifact.ts";
import { ArtifactDatabase } from "../../soci/artifact-database.ts";
import type {
  PutIndexOptions,
  PutPrefetchOptions,
  PutZtocOptions,
} from "../../soci/local-store.ts";
import {
  artifactTypeOfVersion,
  decodeSociIndex,
  encodeSociIndex,
  SOCI_CONFIG_BYTES,
  type SociIndex,
  sociConfigDescriptor,
  sociIndexDescriptor,
} from "../../soci/soci-index.ts";
import { rebuildContainerdStore } from "./rebuild-containerd-store.ts";
import type { SociStore } from "./soci-store.ts";

export interface ContainerdStoreOptions extends WaitOptions {
  /** Where the list is kept. */
  readonly root: string;
  /** With a lease for whoever puts something there. */
  readonly space: ContainerdNamespace;
}

const MAX_INDEX_BYTES = 4 * 1024 * 1024;
const MAX_ZTOC_BYTES = 1024 * 1024 * 1024;
/** Larger zTOCs wait on disk until their digest is known. */
const MAX_BYTES_IN_MEMORY = 32 * 1024 * 1024;
// https://github.com/containerd/containerd/blob/v2.1.0/pkg/identifiers/validate.go: names no path but itself.
const NAMESPACE = /^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$/;

/**
 * SOCI artifacts in containerd's content store: an index keeps its zTOCs by its labels, and an image its
 * indexes by its own, so that all of it goes when the image does. What they were made of is listed in
 * `<root>/containerd/<namespace>.sqlite`; what containerd has collected is listed no more.
 */
export class ContainerdStore implements SociStore {
  readonly local = undefined;
  readonly artifacts: ArtifactDatabase;
  readonly #space: ContainerdNamespace;
  readonly #root: string;
  #owned: AsyncDisposable | undefined;

  private constructor({ root, space }: ContainerdStoreOptions, artifacts: ArtifactDatabase) {
    this.#root = root;
    this.#space = space;
    this.artifacts = artifacts;
  }

  /** containerd is asked nothing. @throws failed-precondition, data-loss when the list is damaged */
  static async open(options: ContainerdStoreOptions): Promise<ContainerdStore> {
    const { root, space, signal } = options;
    if (!NAMESPACE.test(space.name)) {
      throw new SociError(
        "invalid-argument",
        `identifier ${JSON.stringify(space.name)} must match ${NAMESPACE}: invalid argument`,
      );
    }
    const directory = join(root, "containerd");
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw new SociError("failed-precondition", `Cannot make directory "${directory}"`, { cause });
    }
    signal?.throwIfAborted();
    const database = ArtifactDatabase.open(join(directory, `${space.name}.sqlite`));
    return new ContainerdStore(options, database);
  }

  async findZtoc(layer: Digest, spanSize: number): Promise<Artifact | undefined> {
    for (const artifact of this.artifacts.findZtocs(layer, spanSize)) {
      if (await keepContent(this.#space, artifact)) return artifact;
    }
    return undefined;
  }

  async readZtoc(digest: Digest): Promise<Uint8Array> {
    return await this.#readWhole(digest, MAX_ZTOC_BYTES);
  }

  async *openBlob(digest: Digest): AsyncGenerator<Uint8Array> {
    const size = await this.blobSize(digest);
    if (size === undefined) throw absent(digest);
    yield* this.#space.content.read({ digest, size });
  }

  async blobSize(digest: Digest, options: WaitOptions = {}): Promise<number | undefined> {
    return (await this.#space.content.info(digest, options))?.size;
  }

  async readIndexBytes(digest: Digest): Promise<Uint8Array> {
    return await this.#readWhole(digest, MAX_INDEX_BYTES);
  }

  async readIndex(digest: Digest): Promise<SociIndex> {
    return decodeSociIndex(await this.readIndexBytes(digest), `SOCI index ${digest}`);
  }

  async putZtoc(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { layer, spanSize, digest, size, signal }: PutZtocOptions,
  ): Promise<Descriptor> {
    const expected = {
      mediaType: ZTOC_MEDIA_TYPE,
      ...(digest === undefined ? {} : { digest }),
      ...(size === undefined ? {} : { size }),
    };
    const descriptor =
      size !== undefined && size <= MAX_BYTES_IN_MEMORY
        ? await this.#putFromMemory(chunks, expected, { signal })
        : await this.#putFromDisk(chunks, expected, { signal });
    this.#listLayer(descriptor, { type: "soci_layer", layer, spanSize });
    return descriptor;
  }

  async putPrefetch(bytes: Uint8Array, { layer, signal }: PutPrefetchOptions): Promise<Descriptor> {
    const expected = { mediaType: PREFETCH_MEDIA_TYPE };
    const descriptor = await this.#putFromMemory([bytes], expected, { signal });
    this.#listLayer(descriptor, { type: "soci_prefetch", layer, spanSize: 0 });
    return descriptor;
  }

  /** Of a v1 index, also labels the images that it is of. @throws failed-precondition when containerd has none: nothing would keep it */
  async putIndex(index: SociIndex, options: PutIndexOptions): Promise<Descriptor> {
    const { imageDigest, signal } = options;
    const bytes = encodeSociIndex(index);
    const descriptor = sociIndexDescriptor(bytes, index.version);
    const config = sociConfigDescriptor(index.version);
    await this.#write(config, () => [SOCI_CONFIG_BYTES], { labels: {}, signal });
    const labels = artifactLabels({ config, layers: index.blobs });
    await this.#write(descriptor, () => [bytes], { labels, signal });
    // A v2 index is kept by the image index that lists it.
    if (index.version === "v1") await this.#labelImages(imageDigest, descriptor.digest, { signal });
    this.artifacts.put({
      digest: descriptor.digest,
      type: "soci_index",
      size: descriptor.size,
      spanSize: 0,
      ociDigest: options.imageManifest,
      imageDigest,
      platform: options.platform,
      location: options.imageManifest,
      mediaType: descriptor.mediaType,
      artifactType: artifactTypeOfVersion(index.version),
      createdAt: Date.now(),
      imageName: options.imageName,
    });
    return descriptor;
  }

  async refresh({ signal }: WaitOptions = {}): Promise<void> {
    if (this.artifacts.listAll().length === 0) return;
    const started = Date.now();
    const present = new Set<string>();
    for await (const { digest } of this.#space.content.list([], { signal })) present.add(digest);
    // What was put there meanwhile need not have been seen.
    this.artifacts.prune(({ digest, createdAt }) => present.has(digest) || createdAt >= started);
  }

  async remove(digest: Digest, { signal }: WaitOptions = {}): Promise<boolean> {
    const wasListed = this.artifacts.remove(digest);
    for (const { name, labels } of await this.#space.images.list([], { signal })) {
      const gone = sociIndexLabelsOf(labels, digest).map((label) => [label, ""] as const);
      if (gone.length === 0) continue;
      await this.#space.images.setLabels(name, { labels: Object.fromEntries(gone), signal });
    }
    await this.#space.content.delete(digest, { signal });
    return wasListed;
  }

  async rebuild(options: WaitOptions = {}): Promise<void> {
    await this.refresh(options);
    await rebuildContainerdStore(this, { space: this.#space, ...options });
  }

  /** The same store, which from now on closes what it was made of, itself included. */
  owning(resources: AsyncDisposable): this {
    this.#owned = resources;
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const owned = this.#owned;
    this.#owned = undefined;
    if (owned === undefined) this.artifacts[Symbol.dispose]();
    else await owned[Symbol.asyncDispose]();
  }

  #listLayer(
    { digest, size, mediaType }: Descriptor,
    { type, layer, spanSize }: Pick<Artifact, "type" | "spanSize"> & { readonly layer: Digest },
  ): void {
    this.artifacts.put({
      digest,
      type,
      size,
      spanSize,
      ociDigest: layer,
      imageDigest: "",
      platform: "",
      location: layer,
      mediaType,
      artifactType: "",
      createdAt: Date.now(),
      imageName: "",
    });
  }

  async #labelImages(target: Digest, index: Digest, { signal }: WaitOptions): Promise<void> {
    const images = await this.#space.images.list([`target.digest==${target}`], { signal });
    if (images.length === 0) {
      throw new SociError(
        "failed-precondition",
        `Cannot keep SOCI index ${index}: containerd has no image ${target}`,
        { hint: "Pull the image first: its indexes live and die with it" },
      );
    }
    for (const { name } of images) {
      await this.#space.images.setLabels(name, { labels: sociIndexLabels(index), signal });
    }
  }

  async #putFromMemory(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    expected: Pick<Descriptor, "mediaType"> & Partial<Pick<Descriptor, "digest" | "size">>,
    { signal }: WaitOptions,
  ): Promise<Descriptor> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk.slice());
    const bytes = Buffer.concat(parts);
    const descriptor = { ...expected, digest: digestOf(bytes), size: bytes.length };
    if (
      descriptor.digest !== (expected.digest ?? descriptor.digest) ||
      descriptor.size !== (expected.size ?? descriptor.size)
    ) {
      throw new SociError(
        "data-loss",
        `Cannot store ${expected.digest ?? "blob"}: got ${descriptor.size} bytes with digest "${descriptor.digest}", want ${expected.size ?? "as many as there are"}`,
      );
    }
    await this.#write(descriptor, () => [bytes], { labels: {}, signal });
    return descriptor;
  }

  async #putFromDisk(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    expected: Pick<Descriptor, "mediaType"> & Partial<Pick<Descriptor, "digest" | "size">>,
    { signal }: WaitOptions,
  ): Promise<Descriptor> {
    await using stage = await TemporaryStage.make(this.#root);
    const layout = await stage.layout();
    const descriptor = await layout.putBlob(expected, chunks, { signal });
    const open = () => fileChunks(layout.blobPath(descriptor.digest));
    await this.#write(descriptor, open, { labels: {}, signal });
    return descriptor;
  }

  async #write(
    blob: Descriptor,
    open: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { labels, signal }: WaitOptions & { readonly labels: Readonly<Record<string, string>> },
  ): Promise<void> {
    const { digest, size } = blob;
    await writeLeased(
      this.#space,
      { digest, size },
      {
        open: async function* () {
          yield* open();
        },
        ref: `soci-${digest}`,
        labels,
        signal,
      },
    );
  }

  async #readWhole(digest: Digest, maxBytes: number): Promise<Uint8Array> {
    const size = await this.blobSize(digest);
    if (size === undefined) throw absent(digest);
    if (size > maxBytes) {
      throw new SociError(
        "data-loss",
        `Cannot read ${digest}: it has ${size} bytes, want at most ${maxBytes}`,
      );
    }
    const parts = await Array.fromAsync(this.#space.content.read({ digest, size }));
    const bytes = Buffer.concat(parts);
    const got = digestOf(bytes);
    if (got === digest) return bytes;
    throw new SociError("data-loss", `Cannot use ${digest}: its digest in containerd is "${got}"`);
  }
}

function absent(digest: Digest): SociError {
  return new SociError("not-found", `content digest ${digest}: not found`);
}
