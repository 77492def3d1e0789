import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf, isDigest } from "../oci/digest.ts";
import { ReadCounter } from "../oci/file-slice.ts";
import type {
  BlobRangeOptions,
  ImageSource,
  ManifestName,
  SourceStats,
} from "../oci/image-source.ts";
import { MAX_JSON_BYTES } from "../oci/json-document.ts";
import { verifyStream } from "../oci/verified-stream.ts";
import type { ContainerdNamespace } from "./containerd-client.ts";

export interface ContainerdSourceOptions {
  /** As the user named it, for messages. */
  readonly name: string;
  readonly space: Pick<ContainerdNamespace, "name" | "content" | "images">;
  /** The image's name in containerd. */
  readonly image: string;
  /** Where blobs come from that were never pulled, as those of layers that a snapshotter shows by itself. Owned by the source. */
  readonly fallback?: BlobFallback | undefined;
  /** Closed with the source, as a connection that is there for it alone. */
  readonly owned?: AsyncDisposable | undefined;
}

/** Opened when a blob is not there, at most once. */
export type BlobFallback = () => Promise<Pick<ImageSource, "blob" | "blobRange"> & AsyncDisposable>;

/** An image that containerd has. What is in its store is read there; nothing is written. */
export class ContainerdSource implements ImageSource {
  readonly name: string;
  readonly #space: ContainerdSourceOptions["space"];
  readonly #image: string;
  readonly #counter = new ReadCounter();
  readonly #openFallback: BlobFallback | undefined;
  readonly #owned: AsyncDisposable | undefined;
  #fallback: ReturnType<BlobFallback> | undefined;
  #root: Descriptor | undefined;

  constructor({ name, space, image, fallback, owned }: ContainerdSourceOptions) {
    this.name = name;
    this.#space = space;
    this.#image = image;
    this.#openFallback = fallback;
    this.#owned = owned;
  }

  get stats(): SourceStats {
    return this.#counter.stats;
  }

  /** @throws not-found when containerd has no image of this name */
  async root({ signal }: WaitOptions = {}): Promise<Descriptor> {
    this.#root ??= await this.#findRoot({ signal });
    return this.#root;
  }

  async manifest(
    { digest, size }: ManifestName,
    { signal }: WaitOptions = {},
  ): Promise<Uint8Array> {
    const info = await this.#space.content.info(digest, { signal });
    if (info === undefined) throw this.#absent(digest);
    if (info.size > MAX_JSON_BYTES) {
      throw new SociError(
        "data-loss",
        `Cannot read manifest ${digest} of "${this.name}": it has ${info.size} bytes, want at most ${MAX_JSON_BYTES}`,
      );
    }
    const bytes = await this.#readAll(digest, info.size, { signal });
    const got = digestOf(bytes);
    if (got !== digest || bytes.length !== (size ?? bytes.length)) {
      throw new SociError(
        "data-loss",
        `Cannot use manifest ${digest} of "${this.name}": got ${bytes.length} bytes with digest "${got}", want ${size ?? bytes.length} bytes`,
      );
    }
    return bytes;
  }

  async *blob(descriptor: Descriptor, { signal }: WaitOptions = {}): AsyncGenerator<Uint8Array> {
    const { digest, size } = descriptor;
    const info = await this.#space.content.info(digest, { signal });
    if (info === undefined) {
      yield* (await this.#fromFallback(digest)).blob(descriptor, { signal });
      return;
    }
    const chunks = this.#read({ digest, size: info.size }, { signal });
    yield* verifyStream(chunks, { digest, size }, `blob ${digest} of "${this.name}"`);
  }

  async *blobRange(descriptor: Descriptor, options: BlobRangeOptions): AsyncGenerator<Uint8Array> {
    const { digest, size } = descriptor;
    const { start, end, signal } = options;
    const info = await this.#space.content.info(digest, { signal });
    if (info === undefined) {
      yield* (await this.#fromFallback(digest)).blobRange(descriptor, options);
      return;
    }
    if (start < 0 || start > end || end > size || info.size !== size) {
      throw new SociError(
        "data-loss",
        `Cannot read bytes ${start} to ${end} of blob ${digest} of "${this.name}": it has ${info.size} bytes, want ${size}`,
      );
    }
    yield* this.#read({ digest, size }, { start, end, signal });
  }

  /** None: containerd's store does not know what refers to what. */
  async referrers(): Promise<readonly Descriptor[]> {
    return [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It may never have been opened, or not have opened.
    const fallback = await this.#fallback?.catch(() => undefined);
    await fallback?.[Symbol.asyncDispose]();
    await this.#owned?.[Symbol.asyncDispose]();
  }

  async #findRoot(options: WaitOptions): Promise<Descriptor> {
    const image = await this.#space.images.get(this.#image, options);
    if (image?.target === undefined) {
      throw new SociError("not-found", `image ${JSON.stringify(this.#image)}: not found`, {
        hint: `containerd has no such image in namespace "${this.#space.name}": names are complete there, as in docker.io/library/alpine:latest`,
      });
    }
    const { mediaType, digest, size } = image.target;
    if (isDigest(digest)) return { mediaType, digest, size };
    throw new SociError(
      "unsupported",
      `Cannot use image ${JSON.stringify(this.#image)}: its digest is ${JSON.stringify(digest.slice(0, 100))}, want sha256`,
    );
  }

  async #readAll(digest: Digest, size: number, options: WaitOptions): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#read({ digest, size }, options)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** Pieces of what the calls give: each is the caller's. */
  async *#read(
    blob: { readonly digest: Digest; readonly size: number },
    options: WaitOptions & { readonly start?: number; readonly end?: number },
  ): AsyncGenerator<Uint8Array> {
    this.#counter.request();
    try {
      for await (const chunk of this.#space.content.read(blob, options)) {
        this.#counter.add(chunk.length);
        yield chunk;
      }
    } catch (error) {
      // It was there a moment ago.
      throw isKind(error, "not-found") ? this.#absent(blob.digest, error) : error;
    }
  }

  async #fromFallback(digest: Digest): Promise<Awaited<ReturnType<BlobFallback>>> {
    if (this.#openFallback === undefined) throw this.#absent(digest);
    this.#fallback ??= this.#openFallback();
    return await this.#fallback;
  }

  #absent(digest: Digest, cause?: unknown): SociError {
    return new SociError("not-found", `content digest ${digest}: not found`, {
      ...(cause === undefined ? {} : { cause }),
      hint: `containerd has not all of ${JSON.stringify(this.#image)}: pull it, or that platform of it, in full`,
    });
  }
}
