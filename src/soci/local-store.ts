import { statSync, unlinkSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { fileChunks } from "../oci/file-chunks.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { LayoutWriter } from "../oci/layout-writer.ts";
import { PREFETCH_MEDIA_TYPE, ZTOC_MEDIA_TYPE } from "./annotations.ts";
import type { Artifact } from "./artifact.ts";
import { ArtifactDatabase } from "./artifact-database.ts";
import { entryOfOrigin } from "./index-origin.ts";
import {
  artifactTypeOfVersion,
  decodeSociIndex,
  encodeSociIndex,
  SOCI_CONFIG_BYTES,
  type SociIndex,
  sociConfigDescriptor,
  sociIndexDescriptor,
} from "./soci-index.ts";

/** Below the root; made last: where it is, there is a store. */
export const LOCAL_STORE_DATABASE = "artifacts.sqlite";

export interface LocalStoreOptions extends WaitOptions {
  /** Directory of all state, made (mode 0700) when it is not there. */
  readonly root: string;
}

/** What a zTOC was made of. */
export interface PutZtocOptions extends WaitOptions {
  readonly layer: Digest;
  /** As it was asked for, bytes. */
  readonly spanSize: number;
  /** When known: the bytes must have it. */
  readonly digest?: Digest;
  readonly size?: number;
}

/** What a prefetch artifact was made of. */
export interface PutPrefetchOptions extends WaitOptions {
  readonly layer: Digest;
}

/** What a SOCI index was made of. */
export interface PutIndexOptions extends WaitOptions {
  /** The platform's manifest. */
  readonly imageManifest: Digest;
  /** What the image's name stands for: the manifest, or an image index that lists it. */
  readonly imageDigest: Digest;
  /** `os/arch[/variant]`. */
  readonly platform: string;
  /** As the user named it. */
  readonly imageName: string;
}

/** Far above any real zTOC: one byte in 120 of a layer is windows, so this is a layer of 128 GiB. */
const MAX_ZTOC_BYTES = 1024 * 1024 * 1024;
const MAX_INDEX_BYTES = 4 * 1024 * 1024;
const MAX_ATTEMPTS = 10;

/**
 * SOCI artifacts on this machine: their bytes in an OCI layout at `<root>/content`, what they were made
 * of in `<root>/artifacts.sqlite`. Bytes are on disk before the row that names them, and a row is
 * gone before its bytes, so that at no moment, with any number of processes and whichever of them is
 * killed, a row is without its bytes.
 */
export class LocalStore implements AsyncDisposable {
  /** The bytes. */
  readonly content: LayoutWriter;
  /** The list. */
  readonly artifacts: ArtifactDatabase;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    content: LayoutWriter,
    artifacts: ArtifactDatabase,
    resources: AsyncDisposableStack,
  ) {
    this.content = content;
    this.artifacts = artifacts;
    this.#resources = resources;
  }

  /** See openLocalStore(). */
  static async open({ root, signal }: LocalStoreOptions): Promise<LocalStore> {
    signal?.throwIfAborted();
    try {
      await mkdir(root, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw new SociError("failed-precondition", `Cannot make root directory "${root}"`, { cause });
    }
    await using resources = new AsyncDisposableStack();
    const content = resources.use(await LayoutWriter.open(join(root, "content")));
    signal?.throwIfAborted();
    const artifacts = resources.use(ArtifactDatabase.open(join(root, LOCAL_STORE_DATABASE)));
    return new LocalStore(content, artifacts, resources.move());
  }

  /**
   * Stores a zTOC. Its descriptor has no annotations.
   * @throws data-loss when the bytes are not those expected
   */
  async putZtoc(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { layer, spanSize, digest, size, signal }: PutZtocOptions,
  ): Promise<Descriptor> {
    const expected = {
      mediaType: ZTOC_MEDIA_TYPE,
      ...(digest === undefined ? {} : { digest }),
      ...(size === undefined ? {} : { size }),
    };
    const descriptor = await this.content.putBlob(expected, chunks, { signal });
    const isListed = this.list({
      ...originOfLayer(layer),
      digest: descriptor.digest,
      type: "soci_layer",
      size: descriptor.size,
      spanSize,
      mediaType: ZTOC_MEDIA_TYPE,
    });
    if (!isListed) {
      throw new SociError(
        "unavailable",
        `Cannot store zTOC ${descriptor.digest}: another process has just removed it`,
      );
    }
    return descriptor;
  }

  /** Stores a prefetch artifact. Its descriptor has no annotations. */
  async putPrefetch(bytes: Uint8Array, { layer, signal }: PutPrefetchOptions): Promise<Descriptor> {
    const descriptor = await this.content.putBytes(PREFETCH_MEDIA_TYPE, bytes, { signal });
    const isListed = this.list({
      ...originOfLayer(layer),
      digest: descriptor.digest,
      type: "soci_prefetch",
      size: descriptor.size,
      spanSize: 0,
      mediaType: PREFETCH_MEDIA_TYPE,
    });
    if (isListed) return descriptor;
    throw new SociError(
      "unavailable",
      `Cannot store prefetch artifact ${descriptor.digest}: another process has just removed it`,
    );
  }

  /** Stores a SOCI index, its config with it; its zTOCs must be here already or come later. */
  async putIndex(index: SociIndex, options: PutIndexOptions): Promise<Descriptor> {
    const { signal } = options;
    const bytes = encodeSociIndex(index);
    const descriptor = sociIndexDescriptor(bytes, index.version);
    const artifact: Artifact = {
      digest: descriptor.digest,
      type: "soci_index",
      size: descriptor.size,
      spanSize: 0,
      ociDigest: options.imageManifest,
      imageDigest: options.imageDigest,
      platform: options.platform,
      location: options.imageManifest,
      mediaType: descriptor.mediaType,
      artifactType: artifactTypeOfVersion(index.version),
      createdAt: Date.now(),
      imageName: options.imageName,
    };
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      await this.content.putBlob(sociConfigDescriptor(index.version), [SOCI_CONFIG_BYTES], {
        signal,
      });
      await this.content.putBlob(descriptor, [bytes], { signal });
      await this.content.addToIndex(entryOfOrigin(descriptor, options), { signal });
      if (this.list(artifact)) return descriptor;
    }
    throw new SociError(
      "unavailable",
      `Cannot store SOCI index ${descriptor.digest}: others keep removing it`,
    );
  }

  /** The exact bytes of a SOCI index. @throws not-found, data-loss */
  readIndexBytes(digest: Digest): Promise<Uint8Array> {
    return this.content.readBlob(digest, { maxBytes: MAX_INDEX_BYTES });
  }

  /** @throws not-found, data-loss, unsupported */
  async readIndex(digest: Digest): Promise<SociIndex> {
    return decodeSociIndex(await this.readIndexBytes(digest), `SOCI index ${digest}`);
  }

  /** The bytes of a zTOC, their digest verified. @throws not-found, data-loss */
  readZtoc(digest: Digest): Promise<Uint8Array> {
    return this.content.readBlob(digest, { maxBytes: MAX_ZTOC_BYTES });
  }

  /** Bytes of an artifact; `undefined` when it is not here. */
  blobSize(digest: Digest): Promise<number | undefined> {
    return this.content.blobSize(digest);
  }

  /** The bytes of an artifact that is here, in order, not verified. */
  openBlob(digest: Digest): AsyncIterable<Uint8Array> {
    return fileChunks(this.content.blobPath(digest));
  }

  /** The exact bytes of a prefetch artifact. @throws not-found, data-loss */
  readPrefetchBytes(digest: Digest): Promise<Uint8Array> {
    return this.content.readBlob(digest, { maxBytes: MAX_INDEX_BYTES });
  }

  /** A zTOC that was built of this layer with this span size and is here. */
  async findZtoc(layer: Digest, spanSize: number): Promise<Artifact | undefined> {
    for (const artifact of this.artifacts.findZtocs(layer, spanSize)) {
      if ((await this.content.blobSize(artifact.digest)) === artifact.size) return artifact;
    }
    return undefined;
  }

  /** Lists an artifact of which the bytes are here; whether they are. Nobody can remove them before. */
  list(artifact: Artifact): boolean {
    const path = this.content.blobPath(artifact.digest);
    return this.artifacts.put(
      artifact,
      () => statSync(path, { throwIfNoEntry: false }) !== undefined,
    );
  }

  /**
   * Removes an artifact: its rows, then its entry in the layout, then its bytes. The zTOCs of an index
   * stay: others may have them too. Whether it was listed.
   */
  async remove(digest: Digest, { signal }: WaitOptions = {}): Promise<boolean> {
    const wasListed = this.artifacts.remove(digest);
    await this.content.removeFromIndex(digest, { signal });
    this.artifacts.whileAbsent(digest, () => unlinkIfThere(this.content.blobPath(digest)));
    return wasListed;
  }

  /** Closes the store; twice is fine. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}

/**
 * Opens the local store, making it when it is not there; unfinished files of processes that have died
 * are removed. @throws failed-precondition when the root cannot be used, data-loss when it is damaged
 */
export function openLocalStore(options: LocalStoreOptions): Promise<LocalStore> {
  return LocalStore.open(options);
}

/** What the row of a layer's artifact says of where it comes from. */
function originOfLayer(
  layer: Digest,
): Omit<Artifact, "digest" | "type" | "size" | "spanSize" | "mediaType"> {
  return {
    ociDigest: layer,
    imageDigest: "",
    platform: "",
    location: layer,
    artifactType: "",
    createdAt: Date.now(),
    imageName: "",
  };
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
