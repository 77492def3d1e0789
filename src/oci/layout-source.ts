import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, digestOf, hexOf } from "./digest.ts";
import { readSlice, ReadCounter, type FileSlice } from "./file-slice.ts";
import type { BlobRangeOptions, ImageSource, ManifestName, SourceStats } from "./image-source.ts";
import { MAX_JSON_BYTES } from "./json-document.ts";
import { checkLayoutVersion, type LayoutFiles, readWhole } from "./layout-files.ts";
import { parseLayoutIndex } from "./layout-index.ts";
import { selectLayoutEntry } from "./layout-entry.ts";
import { layoutReferrers } from "./layout-referrers.ts";
import { verifyStream } from "./verified-stream.ts";

export interface LayoutSourceOptions {
  /** As the user named it. */
  readonly name: string;
  /** Owned by the source from now on. */
  readonly files: LayoutFiles;
  /** Which entry of index.json; without it, the only image there is. */
  readonly tag?: string | undefined;
}

/** An image in an OCI layout, be it a directory or an archive. */
export class LayoutSource implements ImageSource {
  readonly name: string;
  readonly #files: LayoutFiles;
  readonly #tag: string | undefined;
  readonly #counter = new ReadCounter();
  #root: Promise<Descriptor> | undefined;
  #entries: Promise<readonly Descriptor[]> | undefined;

  constructor({ name, files, tag }: LayoutSourceOptions) {
    this.name = name;
    this.#files = files;
    this.#tag = tag;
  }

  get stats(): SourceStats {
    return this.#counter.stats;
  }

  async root({ signal }: WaitOptions = {}): Promise<Descriptor> {
    signal?.throwIfAborted();
    this.#root ??= this.#findRoot();
    return await this.#root;
  }

  /** All that index.json lists. */
  async entries({ signal }: WaitOptions = {}): Promise<readonly Descriptor[]> {
    signal?.throwIfAborted();
    return await this.#indexEntries();
  }

  async manifest(name: ManifestName, { signal }: WaitOptions = {}): Promise<Uint8Array> {
    signal?.throwIfAborted();
    const bytes = await this.#readSmall(blobPath(name.digest), name.digest);
    const got = digestOf(bytes);
    const size = name.size ?? bytes.length;
    if (bytes.length !== size || got !== name.digest) {
      throw new SociError(
        "data-loss",
        `Cannot use manifest ${name.digest} of "${this.#files.place}": got ${bytes.length} bytes with digest "${got}", want ${size} bytes`,
      );
    }
    return bytes;
  }

  async *blob(descriptor: Descriptor, { signal }: WaitOptions = {}): AsyncGenerator<Uint8Array> {
    await using slice = await this.#openBlob(descriptor);
    const chunks = readSlice(slice, { start: 0, end: slice.size, signal }, this.#counter);
    yield* verifyStream(chunks, descriptor, slice.name);
  }

  async *blobRange(descriptor: Descriptor, options: BlobRangeOptions): AsyncGenerator<Uint8Array> {
    await using slice = await this.#openBlob(descriptor);
    yield* readSlice(slice, options, this.#counter);
  }

  async referrers(
    subject: Digest,
    artifactType: string,
    options: WaitOptions = {},
  ): Promise<readonly Descriptor[]> {
    return await layoutReferrers(await this.#indexEntries(), {
      subject,
      artifactType,
      read: (descriptor) => this.manifest(descriptor, options),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
  }

  async #findRoot(): Promise<Descriptor> {
    return await selectLayoutEntry(await this.#indexEntries(), {
      place: this.#files.place,
      tag: this.#tag,
      read: (descriptor) => this.manifest(descriptor),
    });
  }

  #indexEntries(): Promise<readonly Descriptor[]> {
    this.#entries ??= this.#readIndex();
    return this.#entries;
  }

  async #readIndex(): Promise<readonly Descriptor[]> {
    const at = (name: string): string => `${this.#files.place}/${name}`;
    checkLayoutVersion(await this.#readSmall("oci-layout"), at("oci-layout"));
    return parseLayoutIndex(await this.#readSmall("index.json"), at("index.json")).manifests;
  }

  async #readSmall(path: string, digest?: Digest): Promise<Uint8Array> {
    await using slice = await this.#files.open(path);
    if (slice === undefined) {
      throw this.#absent(digest === undefined ? `"${path}"` : `blob ${digest}`);
    }
    const bytes = await readWhole(slice, { maxBytes: MAX_JSON_BYTES });
    this.#counter.request();
    this.#counter.add(bytes.length);
    return bytes;
  }

  async #openBlob({ digest, size }: Descriptor): Promise<FileSlice & AsyncDisposable> {
    await using cleanup = new AsyncDisposableStack();
    const slice = await this.#files.open(blobPath(digest));
    if (slice === undefined) {
      throw this.#absent(`blob ${digest}`);
    }
    cleanup.use(slice);
    if (slice.size !== size) {
      throw new SociError(
        "data-loss",
        `Cannot use ${slice.name}: it has ${slice.size} bytes, want ${size}`,
      );
    }
    cleanup.move();
    return slice;
  }

  #absent(what: string): SociError {
    return new SociError("not-found", `Cannot read ${what}: it is not in "${this.#files.place}"`);
  }
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}
