import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import type { ImageDestination } from "./image-destination.ts";
import { formatReference, type Reference } from "./reference.ts";
import type { RegistryClient } from "./registry.ts";
import type { BlobOpener } from "./upload-source.ts";

export interface RegistryDestinationOptions {
  /** Has a tag and no digest. */
  readonly reference: Reference;
  /** Of the reference's repository. */
  readonly client: Pick<RegistryClient, "headBlob" | "mountBlob" | "uploadBlob" | "putManifest">;
  /** Where the image comes from, when that is a registry. */
  readonly source?: Reference | undefined;
}

/**
 * A tag of a repository. What comes from the same repository is there; what comes from another one of the
 * same registry is mounted from there; only what is left is sent.
 */
export class RegistryDestination implements ImageDestination {
  readonly name: string;
  readonly stage = undefined;
  readonly isSourcePlace: boolean;
  readonly #reference: Reference;
  readonly #client: RegistryDestinationOptions["client"];
  readonly #source: Reference | undefined;
  readonly #absent = new Set<string>();

  /** @throws invalid-argument unless the reference is a tag */
  constructor({ reference, client, source }: RegistryDestinationOptions) {
    this.name = formatReference(reference);
    if (reference.tag === undefined || reference.digest !== undefined) {
      throw new SociError(
        "invalid-argument",
        `Cannot write to "${this.name}": its digest follows from what is written, want REPOSITORY:TAG`,
      );
    }
    this.#reference = reference;
    this.#client = client;
    this.#source = source?.registry === reference.registry ? source : undefined;
    this.isSourcePlace = this.#source?.repository === reference.repository;
  }

  async takesOver(blob: Descriptor, { signal }: WaitOptions = {}): Promise<boolean> {
    if (this.isSourcePlace) return true;
    if ((await this.#client.headBlob(blob.digest, { signal })) === blob.size) return true;
    const from = this.#source?.repository;
    if (from !== undefined && (await this.#client.mountBlob(blob, { from, signal }))) return true;
    this.#absent.add(blob.digest);
    return false;
  }

  async putBlob(blob: Descriptor, open: BlobOpener, { signal }: WaitOptions = {}): Promise<void> {
    const isAbsent = this.#absent.has(blob.digest);
    await this.#client.uploadBlob(blob, open, { isAbsent, signal });
  }

  async putManifest(
    { mediaType }: Descriptor,
    bytes: Uint8Array,
    { signal }: WaitOptions = {},
  ): Promise<void> {
    await this.#client.putManifest(bytes, { mediaType, signal });
  }

  async finish(
    { mediaType }: Descriptor,
    bytes: Uint8Array,
    { signal }: WaitOptions = {},
  ): Promise<void> {
    const { tag } = this.#reference;
    await this.#client.putManifest(bytes, {
      mediaType,
      ...(tag === undefined ? {} : { reference: tag }),
      signal,
    });
  }

  /** A client holds nothing open. */
  async [Symbol.asyncDispose](): Promise<void> {}
}
