import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";

export interface SignalOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface BlobRangeOptions extends SignalOptions {
  /** First byte. */
  readonly start: number;
  /** One past the last byte; at most the blob's size. */
  readonly end: number;
  /** Past every cache on the way, and past the remembered location: what came before was wrong. */
  readonly isFresh?: boolean | undefined;
  /** Whether a temporary failure is tried again here (default), or is the caller's to deal with. */
  readonly retry?: boolean | undefined;
  /** When a server has begun to answer, again after each break. A file gives no such sign. */
  readonly onOpen?: ((opened: BlobOpened) => void) | undefined;
}

/** How a server has begun to answer. */
export interface BlobOpened {
  /** It gives the range that was asked for, rather than the whole blob. */
  readonly isPartial: boolean;
  /** From the request to the start of the answer. */
  readonly ms: number;
}

/** What has gone over the wire (or been read from the file) through one source. */
export interface SourceStats {
  /** Requests made: HTTP requests of a registry, reads of a file. */
  readonly requests: number;
  /** Bytes of bodies received. */
  readonly bytes: number;
}

/** A manifest by its digest; by its size too, unless only the digest has been told, as in an annotation. */
export type ManifestName = Pick<Descriptor, "digest"> & Partial<Pick<Descriptor, "size">>;

/**
 * One image, wherever it lives: a registry, an OCI layout, an archive. Read-only.
 * Every method throws `not-found` for an absent object and `data-loss` for bytes that are not those
 * their descriptor promises.
 */
export interface ImageSource extends AsyncDisposable {
  /** As the user named it, for messages. Never holds credentials. */
  readonly name: string;
  readonly stats: SourceStats;

  /** The manifest or image index that the name stands for. Resolved once, then remembered. */
  root(options?: SignalOptions): Promise<Descriptor>;

  /** A manifest's exact bytes: size limited, digest and told size verified. */
  manifest(name: ManifestName, options?: SignalOptions): Promise<Uint8Array>;

  /** A whole blob, in order. Size and digest are verified: the last chunk comes only when both are right. */
  blob(descriptor: Descriptor, options?: SignalOptions): AsyncIterable<Uint8Array>;

  /**
   * Bytes [start, end) of a blob, exactly that many. NOT verified: the caller knows their digest. The
   * chunks are the caller's.
   */
  blobRange(descriptor: Descriptor, options: BlobRangeOptions): AsyncIterable<Uint8Array>;

  /** Descriptors of the manifests that refer to `subject`, of one artifact type; none is an empty list. */
  referrers(
    subject: Digest,
    artifactType: string,
    options?: SignalOptions,
  ): Promise<readonly Descriptor[]>;
}
