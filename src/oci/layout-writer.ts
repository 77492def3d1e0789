import { mkdir, rmdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, Digester, digestOf, hexOf } from "./digest.ts";
import { DurableFile, sweepIngest, syncDirectory, unlinkIfThere } from "./durable-file.ts";
import { isErrno } from "./fs-errors.ts";
import {
  addToLayoutIndex,
  EMPTY_LAYOUT_INDEX,
  parseLayoutIndex,
  removeFromLayoutIndex,
} from "./layout-index.ts";
import { checkLayoutVersion, OCI_LAYOUT_FILE, readSmallFile } from "./layout-files.ts";
import { acquireLockLink } from "./lock-link.ts";
import type { ImageIndex } from "./manifest.ts";

/** A descriptor of which digest and size may still be unknown. */
export type BlobExpectation = Omit<Descriptor, "digest" | "size"> &
  Partial<Pick<Descriptor, "digest" | "size">>;

export interface ReadBlobOptions {
  /** Most bytes to take into memory. */
  readonly maxBytes?: number;
}

const MiB = 1024 * 1024;

/**
 * An OCI layout directory that is written to. Blobs and index.json appear whole or not at all, also
 * after kill -9 and with several processes at work: everything is written in `ingest/`, synced,
 * renamed, and the directory synced. Updates of index.json are made under a lock.
 * https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 */
export class LayoutWriter implements AsyncDisposable {
  readonly #dir: string;
  readonly #ingest: string;
  readonly #blobs: string;

  private constructor(dir: string) {
    this.#dir = dir;
    this.#ingest = join(dir, "ingest");
    this.#blobs = join(dir, "blobs", "sha256");
  }

  /**
   * Opens a layout, making what is missing of it, and removes unfinished files of dead processes.
   * @throws failed-precondition when the directory cannot be written, data-loss or unsupported when
   * it holds something else
   */
  static async open(dir: string): Promise<LayoutWriter> {
    const writer = new LayoutWriter(dir);
    try {
      if ((await mkdir(writer.#blobs, { recursive: true })) !== undefined) {
        // New directories must outlast a power cut as what will be in them does.
        for (const made of [join(dir, "blobs"), dir, dirname(resolve(dir))]) {
          await syncDirectory(made);
        }
      }
    } catch (cause) {
      throw new SociError("failed-precondition", `Cannot open OCI layout "${dir}"`, { cause });
    }
    await sweepIngest(writer.#ingest);
    const version = await readSmallFile(join(dir, "oci-layout"));
    if (version === undefined) {
      await writer.#writeFile("oci-layout", OCI_LAYOUT_FILE);
    } else {
      checkLayoutVersion(version, join(dir, "oci-layout"));
    }
    const index = await readSmallFile(writer.#indexPath);
    if (index === undefined) {
      await writer.#editIndex((bytes) => bytes);
    } else {
      parseLayoutIndex(index, writer.#indexPath);
    }
    return writer;
  }

  /** The layout's directory. */
  get dir(): string {
    return this.#dir;
  }

  /** Where a blob lies, or would lie. */
  blobPath(digest: Digest): string {
    return join(this.#blobs, hexOf(digest));
  }

  /** The size in bytes of a blob that is here, else `undefined`. Its content is not read. */
  async blobSize(digest: Digest): Promise<number | undefined> {
    try {
      const stats = await stat(this.blobPath(digest));
      return stats.isFile() ? stats.size : undefined;
    } catch (error) {
      if (isErrno(error, "ENOENT")) {
        return undefined;
      }
      throw error;
    }
  }

  async hasBlob(digest: Digest): Promise<boolean> {
    return (await this.blobSize(digest)) !== undefined;
  }

  /**
   * Stores a blob (mode 0444) and returns its descriptor: what was expected, with digest and size.
   * A digest or size that was expected must be met. A blob that is here already, in its right size,
   * is not read from `chunks` again.
   * @throws data-loss when the bytes are not those expected
   */
  async putBlob(
    expected: BlobExpectation,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { signal }: WaitOptions = {},
  ): Promise<Descriptor> {
    if (expected.digest !== undefined) {
      const size = await this.blobSize(expected.digest);
      if (size !== undefined && size === (expected.size ?? size)) {
        return { ...expected, digest: expected.digest, size };
      }
    }
    await using file = await DurableFile.create({ ingest: this.#ingest, mode: 0o444 });
    const digester = new Digester();
    for await (const chunk of chunks) {
      signal?.throwIfAborted();
      if (digester.size + chunk.length > (expected.size ?? Number.POSITIVE_INFINITY)) {
        throw mismatch(expected, `more than ${expected.size} bytes`, `${expected.size}`);
      }
      digester.update(chunk);
      await file.write(chunk);
    }
    signal?.throwIfAborted();
    const { size } = digester;
    const digest = digester.digest();
    if (size !== (expected.size ?? size)) {
      throw mismatch(expected, `${size} bytes`, `${expected.size}`);
    }
    if (digest !== (expected.digest ?? digest)) {
      throw mismatch(expected, `digest "${digest}"`, `"${expected.digest}"`);
    }
    await file.commit(this.blobPath(digest));
    return { ...expected, digest, size };
  }

  /** Stores bytes that are in memory. */
  putBytes(mediaType: string, bytes: Uint8Array, options: WaitOptions = {}): Promise<Descriptor> {
    return this.putBlob(
      { mediaType, digest: digestOf(bytes), size: bytes.length },
      [bytes],
      options,
    );
  }

  /** A whole blob, its digest verified. @throws not-found; data-loss for wrong or too many bytes */
  async readBlob(
    digest: Digest,
    { maxBytes = 256 * MiB }: ReadBlobOptions = {},
  ): Promise<Uint8Array> {
    const path = this.blobPath(digest);
    const bytes = await readSmallFile(path, { maxBytes });
    if (bytes === undefined) {
      throw new SociError("not-found", `Cannot read blob ${digest}: it is not in "${this.#dir}"`);
    }
    const got = digestOf(bytes);
    if (got !== digest) {
      throw new SociError(
        "data-loss",
        `Cannot use "${path}": digest is "${got}", want "${digest}"`,
      );
    }
    return bytes;
  }

  /** Removes a blob, whatever refers to it; whether it was there. */
  async deleteBlob(digest: Digest): Promise<boolean> {
    const removed = await unlinkIfThere(this.blobPath(digest));
    await syncDirectory(this.#blobs);
    return removed;
  }

  async readIndex(): Promise<ImageIndex> {
    return parseLayoutIndex(await this.#indexBytes(), this.#indexPath);
  }

  /**
   * Adds an entry to index.json, in the place of the one with the same digest and of the one with
   * the same tag (annotation `org.opencontainers.image.ref.name`).
   */
  async addToIndex(descriptor: Descriptor, options: WaitOptions = {}): Promise<void> {
    await this.#editIndex((bytes, path) => addToLayoutIndex(bytes, path, descriptor), options);
  }

  /** Makes an entry the only one of index.json; blobs stay. */
  async setIndex(descriptor: Descriptor, options: WaitOptions = {}): Promise<void> {
    const edit = (_: Uint8Array, path: string) =>
      addToLayoutIndex(EMPTY_LAYOUT_INDEX, path, descriptor);
    await this.#editIndex(edit, options);
  }

  /** Removes every entry of a digest from index.json; its blob stays. */
  async removeFromIndex(digest: Digest, options: WaitOptions = {}): Promise<void> {
    await this.#editIndex((bytes, path) => removeFromLayoutIndex(bytes, path, digest), options);
  }

  /** Tidies up; what was written stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await rmdir(this.#ingest);
    } catch (error) {
      // Other writers are at work there, or have tidied up.
      if (!isErrno(error, "ENOENT", "ENOTEMPTY", "EEXIST")) {
        throw error;
      }
    }
  }

  get #indexPath(): string {
    return join(this.#dir, "index.json");
  }

  async #indexBytes(): Promise<Uint8Array> {
    return (await readSmallFile(this.#indexPath)) ?? EMPTY_LAYOUT_INDEX;
  }

  async #editIndex(
    edit: (bytes: Uint8Array, path: string) => Uint8Array,
    options: WaitOptions = {},
  ): Promise<void> {
    await using _lock = await acquireLockLink(join(this.#dir, "index.lock"), options);
    await this.#writeFile("index.json", edit(await this.#indexBytes(), this.#indexPath));
  }

  async #writeFile(name: string, bytes: Uint8Array): Promise<void> {
    await using file = await DurableFile.create({ ingest: this.#ingest });
    await file.write(bytes);
    await file.commit(join(this.#dir, name));
  }
}

function mismatch(expected: BlobExpectation, got: string, want: string): SociError {
  const name = expected.digest ?? `of type ${expected.mediaType}`;
  return new SociError("data-loss", `Cannot store blob ${name}: got ${got}, want ${want}`);
}
