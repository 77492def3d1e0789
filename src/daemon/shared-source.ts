import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type {
  BlobRangeOptions,
  ImageSource,
  ManifestName,
  SignalOptions,
  SourceStats,
} from "../oci/image-source.ts";

/** One user's share of a source that others use, too: what it has learned is everybody's. */
export class SharedSource implements ImageSource {
  readonly #source: ImageSource;
  #release: (() => Promise<void>) | undefined;

  /** `release`: called once, when this user has ended. */
  constructor(source: ImageSource, release: () => Promise<void>) {
    this.#source = source;
    this.#release = release;
  }

  get name(): string {
    return this.#source.name;
  }

  get stats(): SourceStats {
    return this.#source.stats;
  }

  root(options?: SignalOptions): Promise<Descriptor> {
    return this.#source.root(options);
  }

  manifest(name: ManifestName, options?: SignalOptions): Promise<Uint8Array> {
    return this.#source.manifest(name, options);
  }

  blob(descriptor: Descriptor, options?: SignalOptions): AsyncIterable<Uint8Array> {
    return this.#source.blob(descriptor, options);
  }

  blobRange(descriptor: Descriptor, options: BlobRangeOptions): AsyncIterable<Uint8Array> {
    return this.#source.blobRange(descriptor, options);
  }

  referrers(
    subject: Digest,
    artifactType: string,
    options?: SignalOptions,
  ): Promise<readonly Descriptor[]> {
    return this.#source.referrers(subject, artifactType, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const release = this.#release;
    this.#release = undefined;
    await release?.();
  }
}
