import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { LayoutWriter } from "../oci/layout-writer.ts";
import { PREFETCH_MEDIA_TYPE, ZTOC_MEDIA_TYPE } from "./annotations.ts";
import type { ArtifactSink } from "./artifact-sink.ts";
import type { PutIndexOptions, PutPrefetchOptions, PutZtocOptions } from "./local-store.ts";
import { fileChunks } from "../oci/file-chunks.ts";
import {
  encodeSociIndex,
  SOCI_CONFIG_BYTES,
  type SociIndex,
  sociConfigDescriptor,
  sociIndexDescriptor,
} from "./soci-index.ts";

/** Writes SOCI artifacts into an OCI layout directory, made when it is not there; SOCI indexes are listed in its index.json. */
export class LayoutSink implements ArtifactSink, AsyncDisposable {
  readonly #layout: LayoutWriter;

  private constructor(layout: LayoutWriter) {
    this.#layout = layout;
  }

  /** Writes into a layout that is open; whoever opened it closes it. */
  static over(layout: LayoutWriter): LayoutSink {
    return new LayoutSink(layout);
  }

  /** @throws failed-precondition when the directory cannot be written, data-loss or unsupported when it holds something else */
  static async open(directory: string): Promise<LayoutSink> {
    return new LayoutSink(await LayoutWriter.open(directory));
  }

  /** A layout does not say what its blobs were made of. */
  async findZtoc(): Promise<undefined> {}

  async readZtoc(digest: Digest): Promise<Uint8Array> {
    return await this.#layout.readBlob(digest);
  }

  openBlob(digest: Digest): AsyncIterable<Uint8Array> {
    return fileChunks(this.#layout.blobPath(digest));
  }

  async putZtoc(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { digest, size, signal }: PutZtocOptions,
  ): Promise<Descriptor> {
    const expected = {
      mediaType: ZTOC_MEDIA_TYPE,
      ...(digest === undefined ? {} : { digest }),
      ...(size === undefined ? {} : { size }),
    };
    return await this.#layout.putBlob(expected, chunks, { signal });
  }

  async putPrefetch(bytes: Uint8Array, { signal }: PutPrefetchOptions): Promise<Descriptor> {
    return await this.#layout.putBytes(PREFETCH_MEDIA_TYPE, bytes, { signal });
  }

  async putIndex(index: SociIndex, { signal }: PutIndexOptions): Promise<Descriptor> {
    const bytes = encodeSociIndex(index);
    const descriptor = sociIndexDescriptor(bytes, index.version);
    await this.#layout.putBlob(sociConfigDescriptor(index.version), [SOCI_CONFIG_BYTES], {
      signal,
    });
    await this.#layout.putBlob(descriptor, [bytes], { signal });
    await this.#layout.addToIndex(descriptor, { signal });
    return descriptor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#layout[Symbol.asyncDispose]();
  }
}
