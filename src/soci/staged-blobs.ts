import { SingleFlight } from "../async/single-flight.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { fileChunks } from "../oci/file-chunks.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { LayoutWriter } from "../oci/layout-writer.ts";
import { verifyStream } from "../oci/verified-stream.ts";
import type { LayerProgress } from "./index-layers.ts";

export interface StagedBlobsOptions {
  readonly source: Pick<ImageSource, "blob">;
  /** Where blobs that are needed twice are kept; `undefined`: they are read twice. */
  readonly stage: LayoutWriter | undefined;
  /** Blobs that will be needed twice. */
  readonly twice: ReadonlySet<Digest>;
  /** A blob is read from the source; what is returned is told of its bytes and its end. */
  readonly onRead?: ((blob: Descriptor) => LayerProgress) | undefined;
}

/** Blobs of an image, each read from it once: those needed twice are kept on disk meanwhile. */
export class StagedBlobs implements Pick<ImageSource, "blob"> {
  readonly #options: StagedBlobsOptions;
  readonly #flights = new SingleFlight<Digest, void>();

  constructor(options: StagedBlobsOptions) {
    this.#options = options;
  }

  /** A whole blob, verified as ImageSource.blob() does. */
  async *blob(blob: Descriptor, { signal }: WaitOptions = {}): AsyncGenerator<Uint8Array> {
    const { stage, twice } = this.#options;
    if (stage === undefined || !twice.has(blob.digest)) {
      yield* this.#read(blob, { signal });
      return;
    }
    await this.#flights.run(
      blob.digest,
      async (inner) => {
        const { mediaType, digest, size } = blob;
        const chunks = this.#read(blob, { signal: inner });
        await stage.putBlob({ mediaType, digest, size }, chunks, { signal: inner });
      },
      { signal },
    );
    yield* verifyStream(fileChunks(stage.blobPath(blob.digest)), blob, `blob ${blob.digest}`);
  }

  /** The same, for whoever needs it once more and for the last time: nothing is kept for it. */
  async *lastRead(blob: Descriptor, { signal }: WaitOptions = {}): AsyncGenerator<Uint8Array> {
    const { stage } = this.#options;
    if (stage !== undefined && (await stage.blobSize(blob.digest)) === blob.size) {
      yield* verifyStream(fileChunks(stage.blobPath(blob.digest)), blob, `blob ${blob.digest}`);
    } else {
      yield* this.#read(blob, { signal });
    }
  }

  async *#read(blob: Descriptor, { signal }: WaitOptions): AsyncGenerator<Uint8Array> {
    const progress = this.#options.onRead?.(blob);
    try {
      for await (const chunk of this.#options.source.blob(blob, { signal })) {
        progress?.add(chunk.length);
        yield chunk;
      }
    } finally {
      progress?.end();
    }
  }
}
