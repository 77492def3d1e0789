import type { WaitOptions } from "../async/wait-options.ts";
import { downloadBlob, headBlob } from "./blob-download.ts";
import { BlobRequests } from "./blob-requests.ts";
import { mountBlob, uploadBlob, type UploadOptions } from "./blob-upload.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import type { BlobRangeOptions, SourceStats } from "./image-source.ts";
import { DEFAULT_PARALLEL, type ParallelPolicy } from "./parallel-download.ts";
import type { RepositoryName, TagName } from "./reference.ts";
import { listReferrers } from "./referrers.ts";
import {
  deleteManifest,
  type FetchedManifest,
  getManifest,
  putManifest,
  type PutManifestOptions,
  type PutManifestResult,
} from "./registry-manifests.ts";
import { RegistrySession, type RegistrySessionOptions } from "./registry-session.ts";
import {
  type ReferrersTagUpdate,
  updateReferrersTag,
  type UpdateReferrersTagOptions,
} from "./update-referrers-tag.ts";
import type { RetryPolicy } from "./retry.ts";
import type { BlobOpener } from "./upload-source.ts";
import { readWholeBlob } from "./whole-blob.ts";

export interface RegistryClientOptions extends RegistrySessionOptions {
  /** When whole blobs are fetched by several ranges at once. */
  readonly parallel?: Partial<ParallelPolicy> | undefined;
  /** How temporary failures of reading blobs are tried again, if not as all others. */
  readonly blobRetry?: RetryPolicy | undefined;
}

/**
 * One repository of a registry, over the OCI distribution protocol.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 * Temporary failures are tried again; all others throw an HttpError that names request and status:
 * `unauthenticated`, `permission-denied`, `not-found`, `unavailable`, else `failed-precondition`.
 */
export class RegistryClient {
  readonly #session: RegistrySession;
  readonly #upstream: RegistrySession;
  readonly #requests: BlobRequests;
  readonly #parallel: ParallelPolicy;

  constructor({ parallel, blobRetry, ...options }: RegistryClientOptions) {
    this.#session = new RegistrySession(options);
    this.#upstream = this.#session.forPush();
    this.#requests = new BlobRequests(this.#session, blobRetry);
    this.#parallel = { ...DEFAULT_PARALLEL, ...parallel };
  }

  /** `<registry>/<repository>`. */
  get name(): string {
    return this.#session.name;
  }

  get stats(): SourceStats {
    return this.#session.stats;
  }

  /** A manifest or image index in one GET; its digest is checked, or by tag computed. */
  getManifest(reference: TagName | Digest, options: WaitOptions = {}): Promise<FetchedManifest> {
    return getManifest(this.#session, reference, options);
  }

  /**
   * A whole blob, verified: the last chunk comes only when size and digest are right, of a small blob
   * the first does. A large one from far away comes by several ranges at once.
   */
  getBlob(blob: Descriptor, { signal }: WaitOptions = {}): AsyncIterable<Uint8Array> {
    return readWholeBlob(this.#requests, blob, { policy: this.#parallel, signal });
  }

  /** Bytes [start, end) of a blob, exactly that many, not verified. */
  getBlobRange(blob: Descriptor, options: BlobRangeOptions): AsyncIterable<Uint8Array> {
    return downloadBlob(this.#requests, blob, options);
  }

  /** The size in bytes of a blob where uploads go; `undefined` when it is not there. */
  headBlob(digest: Digest, options: WaitOptions = {}): Promise<number | undefined> {
    return headBlob(this.#upstream, digest, options);
  }

  /**
   * Puts a blob, unless it is there or can be mounted; whether it was sent. `open` is called again
   * where an upload has to go back.
   */
  uploadBlob(
    blob: Descriptor,
    open: BlobOpener,
    options: Omit<UploadOptions, "open"> = {},
  ): Promise<boolean> {
    return uploadBlob(this.#upstream, blob, { ...options, open });
  }

  /** Takes a blob over from another repository of the registry; whether that was possible. */
  mountBlob(
    blob: Descriptor,
    options: WaitOptions & { readonly from: RepositoryName },
  ): Promise<boolean> {
    return mountBlob(this.#upstream, blob, options);
  }

  /** Puts a manifest or image index, by its digest or under a tag. */
  putManifest(bytes: Uint8Array, options: PutManifestOptions): Promise<PutManifestResult> {
    return putManifest(this.#upstream, bytes, options);
  }

  /** Removes a manifest; `false` when the registry does not do that. */
  deleteManifest(digest: Digest, options: WaitOptions = {}): Promise<boolean> {
    return deleteManifest(this.#upstream, digest, options);
  }

  /** Descriptors of the manifests of one artifact type that refer to `subject`. */
  referrers(
    subject: Digest,
    artifactType: string,
    { signal }: WaitOptions = {},
  ): Promise<readonly Descriptor[]> {
    return listReferrers(this.#session, subject, { artifactType, signal });
  }

  /** Lists `referrer` under the fallback tag of `subject`: for registries that answer no OCI-Subject. */
  updateReferrersTag(
    pair: { readonly subject: Digest; readonly referrer: Descriptor },
    options: UpdateReferrersTagOptions = {},
  ): Promise<ReferrersTagUpdate> {
    return updateReferrersTag(this.#upstream, pair, options);
  }
}
