import { SingleFlight } from "../async/single-flight.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, Digester, digestOf } from "./digest.ts";
import { parseDockerArchive, selectDockerImage } from "./docker-archive-image.ts";
import { type FileSlice, readSlice, ReadCounter } from "./file-slice.ts";
import type { BlobRangeOptions, ImageSource, ManifestName, SourceStats } from "./image-source.ts";
import type { LayoutFiles } from "./layout-files.ts";
import { readWhole } from "./layout-files.ts";
import {
  OCI_CONFIG,
  OCI_LAYER_GZIP,
  OCI_LAYER_TAR,
  OCI_LAYER_ZSTD,
  OCI_MANIFEST,
} from "./media-types.ts";
import { verifyStream } from "./verified-stream.ts";

export interface DockerArchiveSourceOptions {
  /** As the user named it. */
  readonly name: string;
  /** Owned by the source from now on. */
  readonly files: LayoutFiles;
  /** Which image of the archive; without it, the only one. */
  readonly tag?: string | undefined;
}

interface ArchivedImage {
  readonly manifest: Uint8Array;
  readonly descriptor: Descriptor;
  /** Where the blobs are in the archive. */
  readonly paths: ReadonlyMap<Digest, string>;
}

/**
 * An image in an archive as `docker save` writes it, shown as an OCI image. The archive has no
 * manifest of that kind: it is made from the config and the layers as they lie there, always the
 * same for the same archive. That takes the layers' digests, so root() reads the archive once.
 */
export class DockerArchiveSource implements ImageSource {
  readonly name: string;
  readonly #files: LayoutFiles;
  readonly #tag: string | undefined;
  readonly #counter = new ReadCounter();
  readonly #reading = new SingleFlight<string | undefined, ArchivedImage>();
  #image: ArchivedImage | undefined;

  constructor({ name, files, tag }: DockerArchiveSourceOptions) {
    this.name = name;
    this.#files = files;
    this.#tag = tag;
  }

  get stats(): SourceStats {
    return this.#counter.stats;
  }

  async root(options: WaitOptions = {}): Promise<Descriptor> {
    return (await this.#open(options)).descriptor;
  }

  async manifest(name: ManifestName, options: WaitOptions = {}): Promise<Uint8Array> {
    const { manifest, descriptor: own } = await this.#open(options);
    if (name.digest !== own.digest) {
      throw this.#absent(`manifest ${name.digest}`);
    }
    if ((name.size ?? own.size) !== own.size) {
      throw new SociError(
        "data-loss",
        `Cannot use manifest ${own.digest}: it has ${own.size} bytes, want ${name.size}`,
      );
    }
    return manifest;
  }

  async *blob(descriptor: Descriptor, { signal }: WaitOptions = {}): AsyncGenerator<Uint8Array> {
    await using slice = await this.#openBlob(descriptor, { signal });
    const chunks = readSlice(slice, { start: 0, end: slice.size, signal }, this.#counter);
    yield* verifyStream(chunks, descriptor, slice.name);
  }

  async *blobRange(descriptor: Descriptor, options: BlobRangeOptions): AsyncGenerator<Uint8Array> {
    await using slice = await this.#openBlob(descriptor, options);
    yield* readSlice(slice, options, this.#counter);
  }

  /** None: the format cannot hold any. */
  async referrers(): Promise<readonly Descriptor[]> {
    return [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
  }

  async #open({ signal }: WaitOptions): Promise<ArchivedImage> {
    signal?.throwIfAborted();
    this.#image ??= await this.#reading.run(this.#tag, (inner) => this.#read({ signal: inner }), {
      signal,
    });
    return this.#image;
  }

  async #read({ signal }: WaitOptions): Promise<ArchivedImage> {
    const what = `"manifest.json" in "${this.#files.place}"`;
    await using list = await this.#openMember("manifest.json");
    const images = parseDockerArchive(await readWhole(list), what);
    const image = selectDockerImage(images, { place: this.#files.place, tag: this.#tag });
    const known = new Map<string, Descriptor>();
    const describe = async (path: string, config: boolean): Promise<Descriptor> => {
      const descriptor = known.get(path) ?? (await this.#describe(path, { config, signal }));
      known.set(path, descriptor);
      return descriptor;
    };
    const config = await describe(image.config, true);
    const layers: Descriptor[] = [];
    for (const path of image.layers) {
      layers.push(await describe(path, false));
    }
    const manifest = new TextEncoder().encode(
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers }),
    );
    return {
      manifest,
      descriptor: { mediaType: OCI_MANIFEST, digest: digestOf(manifest), size: manifest.length },
      paths: new Map([...known].map(([path, { digest }]) => [digest, path])),
    };
  }

  async #describe(
    path: string,
    { config, signal }: WaitOptions & { readonly config: boolean },
  ): Promise<Descriptor> {
    await using slice = await this.#openMember(path);
    const digester = new Digester();
    let mediaType = config ? OCI_CONFIG : OCI_LAYER_TAR;
    for await (const chunk of readSlice(
      slice,
      { start: 0, end: slice.size, signal },
      this.#counter,
    )) {
      if (digester.size === 0 && !config) {
        mediaType = layerTypeOf(chunk);
      }
      digester.update(chunk);
    }
    return { mediaType, digest: digester.digest(), size: slice.size };
  }

  async #openBlob(
    { digest, size }: Descriptor,
    { signal }: WaitOptions,
  ): Promise<FileSlice & AsyncDisposable> {
    const { paths } = await this.#open({ signal });
    const path = paths.get(digest);
    if (path === undefined) {
      throw this.#absent(`blob ${digest}`);
    }
    const slice = await this.#openMember(path);
    if (slice.size !== size) {
      throw new SociError(
        "data-loss",
        `Cannot use ${slice.name}: it has ${slice.size} bytes, want ${size}`,
      );
    }
    return slice;
  }

  async #openMember(path: string): Promise<FileSlice & AsyncDisposable> {
    const slice = await this.#files.open(path);
    if (slice === undefined) {
      throw this.#absent(`"${path}"`);
    }
    return slice;
  }

  #absent(what: string): SociError {
    return new SociError("not-found", `Cannot read ${what}: it is not in "${this.#files.place}"`);
  }
}

function layerTypeOf(start: Uint8Array): string {
  if (start[0] === 0x1f && start[1] === 0x8b) {
    return OCI_LAYER_GZIP;
  }
  const isZstd = start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd;
  return isZstd ? OCI_LAYER_ZSTD : OCI_LAYER_TAR;
}
