import type { Digest } from "../../src/oci/digest.ts";

/** What a registry may do differently from others. Change a field at any time. */
export interface RegistryManners {
  /** Answer the Referrers API, and OCI-Subject on manifests that have a subject. */
  referrersApi: boolean;
  /** Tell a writer by OCI-Subject that the API lists its manifest. */
  ociSubject: boolean;
  /** Leave out the filtering by artifactType. */
  ignoreReferrersFilter: boolean;
  /** Entries of one page of referrers. */
  referrersPageSize: number;
  /** Answer ranges with 200 and the whole blob. */
  ignoreRange: boolean;
  /** Answer ranges with this status. */
  refuseRange: number | undefined;
  /** Answer a range as multipart/byteranges of one part. */
  multipartRanges: boolean;
  /** Most bytes of one 206 answer. */
  maxRangeBytes: number;
  /** Answer blob GETs with a redirect to this URL plus the digest, or to what this makes of it. */
  redirectBlobsTo: string | ((digest: Digest) => string) | undefined;
  /** Label blobs with Content-Encoding: gzip, as some stores do with layers. */
  contentEncodingGzipOnBlobs: boolean;
  /** Give upload locations without scheme and host. */
  relativeLocations: boolean;
  allowDelete: boolean;
  /** Give ETags with manifests, and look at If-Match and If-None-Match or not. */
  etags: "none" | "ignored" | "honoured";
  /** How mounts of blobs from other repositories end. */
  mounts: "allowed" | "ignored" | "forbidden";
  /** Answer uploads in one piece with this status. */
  refusePut: number | undefined;
  /** Least bytes of a chunk that is not the last; told by OCI-Chunk-Min-Length. */
  chunkMinBytes: number | undefined;
  chunkMaxBytes: number;
  /** Tell how much of an upload is here. */
  uploadStatus: boolean;
  /** Take DELETE of an upload. */
  cancelUploads: boolean;
  /** Finish so many uploads, and answer them with 502. */
  loseUploadAnswers: number;
  /** Close the connection after each answer. */
  closeConnections: boolean;
  /** Milliseconds before each answer begins. */
  answerDelayMs: number;
  /** Answer every so-manieth request with 429 and this Retry-After. */
  rateLimit: { readonly every: number; readonly retryAfter: string } | undefined;
  /** Who may come in: everybody, by Basic, or with a token of the registry's own service. */
  auth:
    | { readonly kind: "none" }
    | { readonly kind: "basic"; readonly username: string; readonly password: string }
    /** As Amazon's: an old password is answered with 403. */
    | { readonly kind: "ecr"; readonly username: string; readonly password: string }
    | BearerManners;
}

/** How a registry and its token service deal with tokens. They hold for the scopes asked for. */
export interface BearerManners {
  readonly kind: "bearer";
  /** Without these, tokens are for everybody. */
  readonly username?: string;
  readonly password?: string;
  /** Taken as refresh token by POST, and as password of the user "" by GET. */
  readonly identityToken?: string;
  /** Give another identity token with each token; the one before is worthless then. */
  readonly changesIdentityToken?: boolean;
  /** Answer every POST so: the service knows no grants. */
  readonly noGrant?: number;
  /** Taken by the registry itself. */
  readonly registryToken?: string;
  /** What is told, and, if it is something else, how long tokens are good. */
  readonly expiresInSeconds?: number;
  readonly validSeconds?: number;
  readonly clockAheadMs?: number;
  /** Where the token service is said to be; here when not given. */
  readonly realm?: string;
  /** Named in challenges beside what is needed. */
  readonly extraScope?: string;
}

/** One request as the registry saw it. */
export interface RequestRecord {
  readonly method: string;
  /** With query. */
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly headers: Headers;
  readonly status: number;
  /** Bytes of the answer's body, as announced. */
  readonly bytes: number;
}

export interface Failure {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Only requests that fit. */
  readonly method?: string;
  readonly path?: RegExp;
}

/** An upload that breaks: what came of it before is kept. */
export interface UploadFault {
  /** Bytes of the body that are kept. */
  readonly at: number;
  readonly method?: "PUT" | "PATCH";
  readonly path?: RegExp;
}

export interface BodyFault {
  /** Bytes of the body that arrive before the connection is cut, or the byte that is flipped. */
  readonly at: number;
  readonly path?: RegExp;
}

/** As most registries are. */
export const DEFAULT_MANNERS: RegistryManners = {
  referrersApi: true,
  ociSubject: true,
  ignoreReferrersFilter: false,
  referrersPageSize: 1000,
  ignoreRange: false,
  refuseRange: undefined,
  multipartRanges: false,
  maxRangeBytes: Number.POSITIVE_INFINITY,
  redirectBlobsTo: undefined,
  contentEncodingGzipOnBlobs: false,
  relativeLocations: true,
  allowDelete: true,
  etags: "none",
  mounts: "allowed",
  refusePut: undefined,
  chunkMinBytes: undefined,
  chunkMaxBytes: Number.POSITIVE_INFINITY,
  uploadStatus: true,
  cancelUploads: true,
  loseUploadAnswers: 0,
  closeConnections: false,
  answerDelayMs: 0,
  rateLimit: undefined,
  auth: { kind: "none" },
};
