import type { WaitOptions } from "../async/wait-options.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import type {
  BlobRangeOptions,
  ImageSource,
  ManifestName,
  SourceStats,
} from "../oci/image-source.ts";
import { OCI_INDEX } from "../oci/media-types.ts";
import { encodeImageIndex } from "./go-json.ts";

/**
 * Manifests that a layout lists one by one, taken as one image: some tools write its platforms so. The
 * image index that nobody wrote has the bytes that the Go tool gives it. Owns the source.
 */
export class FlatLayoutSource implements ImageSource {
  readonly #source: ImageSource;
  readonly #bytes: Uint8Array;
  readonly #root: Descriptor;

  constructor(source: ImageSource, manifests: readonly Descriptor[]) {
    this.#source = source;
    this.#bytes = encodeImageIndex({ mediaType: OCI_INDEX, manifests });
    const [digest, size] = [digestOf(this.#bytes), this.#bytes.length];
    this.#root = { mediaType: OCI_INDEX, digest, size };
  }

  get name(): string {
    return this.#source.name;
  }

  get stats(): SourceStats {
    return this.#source.stats;
  }

  async root({ signal }: WaitOptions = {}): Promise<Descriptor> {
    signal?.throwIfAborted();
    return this.#root;
  }

  async manifest(name: ManifestName, options: WaitOptions = {}): Promise<Uint8Array> {
    return name.digest === this.#root.digest
      ? this.#bytes
      : await this.#source.manifest(name, options);
  }

  blob(descriptor: Descriptor, options: WaitOptions = {}): AsyncIterable<Uint8Array> {
    return this.#source.blob(descriptor, options);
  }

  blobRange(descriptor: Descriptor, options: BlobRangeOptions): AsyncIterable<Uint8Array> {
    return this.#source.blobRange(descriptor, options);
  }

  referrers(
    subject: Digest,
    artifactType: string,
    options: WaitOptions = {},
  ): Promise<readonly Descriptor[]> {
    return this.#source.referrers(subject, artifactType, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source[Symbol.asyncDispose]();
  }
}
