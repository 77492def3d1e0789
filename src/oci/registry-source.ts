import { SingleFlight } from "../async/single-flight.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import type { BlobRangeOptions, ImageSource, ManifestName, SourceStats } from "./image-source.ts";
import { formatReference, type Reference, type TagName } from "./reference.ts";
import type { RegistryClient } from "./registry.ts";
import type { FetchedManifest } from "./registry-manifests.ts";

export interface RegistrySourceOptions {
  readonly reference: Reference;
  /** Of the reference's repository. */
  readonly client: RegistryClient;
}

// An image's indexes, manifests and SOCI indexes: a handful, of which each is asked for more than once.
const MAX_REMEMBERED = 64;

/** An image in a registry. Manifests are fetched once. */
export class RegistrySource implements ImageSource {
  readonly name: string;
  readonly client: RegistryClient;
  readonly #reference: TagName | Digest;
  readonly #manifests = new Map<Digest, Uint8Array>();
  readonly #fetches = new SingleFlight<TagName | Digest, FetchedManifest>();
  #root: Descriptor | undefined;

  constructor({ reference, client }: RegistrySourceOptions) {
    this.name = formatReference(reference);
    this.client = client;
    const named = reference.digest ?? reference.tag;
    if (named === undefined) {
      throw new SociError(
        "invalid-argument",
        `Cannot open "${this.name}": it has no tag or digest`,
      );
    }
    this.#reference = named;
  }

  get stats(): SourceStats {
    return this.client.stats;
  }

  async root(options: WaitOptions = {}): Promise<Descriptor> {
    this.#root ??= (await this.#fetch(this.#reference, options)).descriptor;
    return this.#root;
  }

  async manifest({ digest, size }: ManifestName, options: WaitOptions = {}): Promise<Uint8Array> {
    const bytes = this.#manifests.get(digest) ?? (await this.#fetch(digest, options)).bytes;
    if (bytes.length !== (size ?? bytes.length)) {
      throw new SociError(
        "data-loss",
        `Cannot use manifest ${digest} of ${this.client.name}: it has ${bytes.length} bytes, want ${size}`,
      );
    }
    return bytes;
  }

  blob(descriptor: Descriptor, options: WaitOptions = {}): AsyncIterable<Uint8Array> {
    return this.client.getBlob(descriptor, options);
  }

  blobRange(descriptor: Descriptor, options: BlobRangeOptions): AsyncIterable<Uint8Array> {
    return this.client.getBlobRange(descriptor, options);
  }

  referrers(
    subject: Digest,
    artifactType: string,
    options: WaitOptions = {},
  ): Promise<readonly Descriptor[]> {
    return this.client.referrers(subject, artifactType, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#manifests.clear();
  }

  async #fetch(reference: TagName | Digest, { signal }: WaitOptions): Promise<FetchedManifest> {
    const get = (inner: AbortSignal) => this.client.getManifest(reference, { signal: inner });
    const fetched = await this.#fetches.run(reference, get, { signal });
    if (this.#manifests.size < MAX_REMEMBERED) {
      this.#manifests.set(fetched.descriptor.digest, fetched.bytes);
    }
    return fetched;
  }
}
