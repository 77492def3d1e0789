/** What a registry may do differently from others. Change a field at any time. */
export interface RegistryManners {
  /** Answer the Referrers API, and OCI-Subject on manifests that have a subject. */
  referrersApi: boolean;
  /** Leave out the filtering by artifactType. */
  ignoreReferrersFilter: boolean;
  /** Entries of one page of referrers. */
  referrersPageSize: number;
  /** Answer ranges with 200 and the whole blob. */
  ignoreRange: boolean;
  /** Most bytes of one 206 answer. */
  maxRangeBytes: number;
  /** Answer blob GETs with a redirect to this URL plus the digest. */
  redirectBlobsTo: string | undefined;
  /** Label blobs with Content-Encoding: gzip, as some stores do with layers. */
  contentEncodingGzipOnBlobs: boolean;
  /** Give upload locations without scheme and host. */
  relativeLocations: boolean;
  allowDelete: boolean;
  /** Who may come in: everybody, by Basic, or with a token of the registry's own service. */
  auth:
    | { readonly kind: "none" }
    | { readonly kind: "basic"; readonly username: string; readonly password: string }
    | {
        readonly kind: "bearer";
        /** Without these, tokens are for everybody. */
        readonly username?: string;
        readonly password?: string;
        readonly expiresInSeconds?: number;
      };
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

export interface BodyFault {
  /** Bytes of the body that arrive before the connection is cut, or the byte that is flipped. */
  readonly at: number;
  readonly path?: RegExp;
}
