import { type Digest, digestOf, isDigest } from "../../src/oci/digest.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import { mediaTypeOf } from "../../src/oci/media-types.ts";
import { answerBlob } from "./blob-answer.ts";
import { type BlobStore, memoryBlobs } from "./blob-store.ts";
import { error, errorBody, type Fault, fits, take } from "./registry-answers.ts";
import { Doorkeeper, type TokenRequest } from "./registry-doorkeeper.ts";
import {
  type BodyFault,
  DEFAULT_MANNERS,
  type Failure,
  type RegistryManners,
  type RequestRecord,
  type UploadFault,
} from "./registry-manners.ts";
import { answerReferrers, type Repository, type StoredManifest } from "./registry-referrers.ts";
import { RegistryUploads } from "./registry-uploads.ts";

const PATH = /^\/v2\/(.+?)\/(blobs\/uploads|blobs|manifests|referrers|tags)\/(.*)$/;

/**
 * An OCI registry in this process, on a port of its own: the real protocol, with manners to choose
 * and failures to order. Disposing stops it.
 */
export class TestRegistry implements AsyncDisposable {
  readonly manners: RegistryManners;
  /** Every request so far, in order of arrival of its answer. */
  readonly requests: RequestRecord[] = [];
  readonly #blobs: BlobStore;
  readonly #repositories = new Map<string, Repository>();
  readonly #uploads: RegistryUploads;
  readonly #failures: Fault<Failure>[] = [];
  readonly #cuts: Fault<BodyFault>[] = [];
  readonly #flips: Fault<BodyFault>[] = [];
  readonly #doorkeeper = new Doorkeeper();
  readonly #server: Bun.Server<undefined>;
  #arrivals = 0;

  private constructor(manners: Partial<RegistryManners>, blobs: BlobStore) {
    this.manners = { ...DEFAULT_MANNERS, ...manners };
    this.#blobs = blobs;
    this.#uploads = new RegistryUploads({
      manners: this.manners,
      blobs,
      base: () => this.url,
      blobsOf: (repository) => this.#repository(repository).blobs,
    });
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 255,
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      development: false,
      fetch: (request) => this.#serve(request),
    });
  }

  static start(
    manners: Partial<RegistryManners> = {},
    blobs: BlobStore = memoryBlobs(),
  ): TestRegistry {
    return new TestRegistry(manners, blobs);
  }

  /** As names of images spell it: `127.0.0.1:<port>`. */
  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }

  /** Puts a blob there without a request. */
  async addBlob(repository: string, bytes: Uint8Array): Promise<Digest> {
    const digest = await this.#blobs.put([bytes]);
    this.#repository(repository).blobs.add(digest);
    return digest;
  }

  /** Puts a manifest there without a request. */
  addManifest(
    repository: string,
    { tag, mediaType, bytes }: StoredManifest & { readonly tag?: string },
  ): Descriptor {
    const digest = digestOf(bytes);
    const { manifests, tags } = this.#repository(repository);
    manifests.set(digest, { mediaType, bytes });
    if (tag !== undefined) {
      tags.set(tag, digest);
    }
    return { mediaType, digest, size: bytes.length };
  }

  /** The manifest that a tag or digest names, as it is now. */
  manifest(repository: string, reference: string): StoredManifest | undefined {
    const { manifests, tags } = this.#repository(repository);
    const digest = isDigest(reference) ? reference : tags.get(reference);
    return digest === undefined ? undefined : manifests.get(digest);
  }

  async hasBlob(repository: string, digest: Digest): Promise<boolean> {
    return this.#repository(repository).blobs.has(digest);
  }

  /** The next `times` requests that fit fail so. */
  failNext(times: number, failure: Failure): void {
    this.#failures.push({ what: failure, left: times });
  }

  /** The next `times` blob answers are cut off after `at` bytes. */
  cutNext(times: number, fault: BodyFault): void {
    this.#cuts.push({ what: fault, left: times });
  }

  /** The next `times` blob answers have the bits of byte `at` flipped. */
  corruptNext(times: number, fault: BodyFault): void {
    this.#flips.push({ what: fault, left: times });
  }

  /** The next `times` uploads that fit break after `at` bytes. */
  breakUploads(times: number, fault: UploadFault): void {
    this.#uploads.breakNext(times, fault);
  }

  /** Failures, cuts and wrong bytes that were ordered and have not come up yet. */
  get faultsLeft(): number {
    const orders = [...this.#failures, ...this.#cuts, ...this.#flips];
    return orders.reduce((sum, { left }) => sum + left, 0);
  }

  /** Upload sessions that were neither ended nor cancelled. */
  get openUploads(): number {
    return this.#uploads.open;
  }

  /** Forgets the requests so far. */
  clearRequests(): void {
    this.requests.length = 0;
  }

  #repository(name: string): Repository {
    let repository = this.#repositories.get(name);
    if (repository === undefined) {
      repository = { manifests: new Map(), tags: new Map(), blobs: new Set() };
      this.#repositories.set(name, repository);
    }
    return repository;
  }

  async #serve(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (this.manners.answerDelayMs > 0) {
      await Bun.sleep(this.manners.answerDelayMs);
    }
    const response = this.#rateLimited() ?? (await this.#answer(request, url));
    if (this.manners.closeConnections) {
      response.headers.set("connection", "close");
    }
    this.requests.push({
      method: request.method,
      path: `${url.pathname}${url.search}`,
      range: request.headers.get("range") ?? undefined,
      authorization: request.headers.get("authorization") ?? undefined,
      headers: request.headers,
      status: response.status,
      bytes: Number(response.headers.get("content-length") ?? 0),
    });
    return response;
  }

  #rateLimited(): Response | undefined {
    const { rateLimit } = this.manners;
    this.#arrivals += 1;
    if (rateLimit === undefined || this.#arrivals % rateLimit.every !== 0) {
      return undefined;
    }
    const headers = { "retry-after": rateLimit.retryAfter };
    return error(429, "TOOMANYREQUESTS", "slow down", headers);
  }

  async #answer(request: Request, url: URL): Promise<Response> {
    const path = `${url.pathname}${url.search}`;
    const failure = take(
      this.#failures,
      (what) => (what.method ?? request.method) === request.method && fits(what.path, path),
    );
    if (failure !== undefined) {
      return new Response(failure.body ?? errorBody("UNKNOWN", "as ordered"), {
        status: failure.status,
        headers: { ...failure.headers },
      });
    }
    if (url.pathname === "/token") {
      return await this.#doorkeeper.token(request, this.manners.auth);
    }
    const refused = this.#doorkeeper.refuse(request, this.manners.auth);
    if (refused !== undefined) {
      return refused;
    }
    if (url.pathname === "/v2/") {
      return Response.json({});
    }
    const [, name = "", kind, rest = ""] = PATH.exec(url.pathname) ?? [];
    switch (kind) {
      case "blobs/uploads":
        return await this.#uploads.answer(request, url, { name, id: rest });
      case "blobs":
        return await this.#blob(request, path, { name, digest: rest });
      case "manifests":
        return await this.#manifest(request, { name, reference: rest });
      case "referrers":
        return answerReferrers(url, {
          manners: this.manners,
          manifests: this.#repository(name).manifests,
          subject: rest,
        });
      case "tags":
        return Response.json({ name, tags: [...this.#repository(name).tags.keys()].toSorted() });
      default:
        return new Response("404 page not found\n", { status: 404 });
    }
  }

  /** Every question to its token service so far. */
  get tokenRequests(): readonly TokenRequest[] {
    return this.#doorkeeper.tokenRequests;
  }

  /** Makes every token given so far worthless. */
  revokeTokens(): void {
    this.#doorkeeper.revoke();
  }

  async #blob(
    request: Request,
    path: string,
    { name, digest }: { readonly name: string; readonly digest: string },
  ): Promise<Response> {
    const isHere = isDigest(digest) && this.#repository(name).blobs.has(digest);
    const blob = isHere ? await this.#blobs.get(digest) : undefined;
    if (blob === undefined || !isDigest(digest)) {
      return error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    }
    const headers: Record<string, string> = {
      "docker-content-digest": digest,
      "content-type": "application/octet-stream",
      "content-length": String(blob.size),
      "accept-ranges": "bytes",
      ...(this.manners.contentEncodingGzipOnBlobs ? { "content-encoding": "gzip" } : {}),
    };
    if (request.method === "HEAD") {
      return new Response(null, { headers });
    }
    if (request.method !== "GET") {
      return error(405, "UNSUPPORTED", "not allowed");
    }
    const { redirectBlobsTo } = this.manners;
    if (redirectBlobsTo !== undefined) {
      const location =
        typeof redirectBlobsTo === "string"
          ? `${redirectBlobsTo}${digest}`
          : redirectBlobsTo(digest);
      return new Response(`<a href="elsewhere">Temporary Redirect</a>`, {
        status: 307,
        headers: { location, "content-type": "text/html" },
      });
    }
    const answer = answerBlob(request, blob, this.manners);
    const body = answer.body === null ? null : await this.#faulty(answer.body, path);
    return new Response(body, {
      status: answer.status,
      headers: { ...headers, "content-length": "0", ...answer.headers },
    });
  }

  async #faulty(blob: Blob, path: string): Promise<Blob | Uint8Array | ReadableStream> {
    const flip = take(this.#flips, (what) => fits(what.path, path));
    if (flip !== undefined) {
      const bytes = new Uint8Array(await blob.arrayBuffer());
      bytes[flip.at] = (bytes[flip.at] ?? 0) ^ 0xff;
      return bytes;
    }
    const cut = take(this.#cuts, (what) => fits(what.path, path));
    if (cut === undefined) {
      return blob;
    }
    const bytes = new Uint8Array(await blob.slice(0, cut.at).arrayBuffer());
    // The headers promise more than this: the reader sees the connection end early.
    return new ReadableStream({
      type: "direct",
      pull: async (controller: { write(bytes: Uint8Array): void; flush(): void; end(): void }) => {
        controller.write(bytes);
        controller.flush();
        await Bun.sleep(5);
        throw new Error("cut off as ordered");
      },
    } as unknown as Bun.DirectUnderlyingSource);
  }

  async #manifest(
    request: Request,
    { name, reference }: { readonly name: string; readonly reference: string },
  ): Promise<Response> {
    if (request.method === "PUT") {
      return await this.#putManifest(request, { name, reference });
    }
    const { manifests, tags } = this.#repository(name);
    const digest = isDigest(reference) ? reference : tags.get(reference);
    const found = digest === undefined ? undefined : manifests.get(digest);
    if (digest === undefined || found === undefined) {
      return error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    }
    if (request.method === "DELETE") {
      if (!this.manners.allowDelete) {
        return error(405, "UNSUPPORTED", "The operation is unsupported.");
      }
      manifests.delete(digest);
      for (const [tag, target] of tags) {
        if (target === digest) {
          tags.delete(tag);
        }
      }
      return new Response(null, { status: 202 });
    }
    const headers = {
      "content-type": found.mediaType,
      "content-length": String(found.bytes.length),
      "docker-content-digest": digest,
      ...(this.manners.etags === "none" ? {} : { etag: `"${digest}"` }),
    };
    return new Response(request.method === "HEAD" ? null : found.bytes, { headers });
  }

  async #putManifest(
    request: Request,
    { name, reference }: { readonly name: string; readonly reference: string },
  ): Promise<Response> {
    const bytes = new Uint8Array(await request.arrayBuffer());
    const digest = digestOf(bytes);
    if (isDigest(reference) && reference !== digest) {
      return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    const mediaType = mediaTypeOf(request.headers.get("content-type"));
    const parsed = parseManifest(bytes, { mediaType });
    const { manifests, blobs } = this.#repository(name);
    const missing =
      parsed.kind === "manifest"
        ? [parsed.config, ...parsed.layers].find((blob) => !blobs.has(blob.digest))
        : parsed.manifests.find((child) => !manifests.has(child.digest));
    if (missing !== undefined) {
      return error(400, "MANIFEST_BLOB_UNKNOWN", `${missing.digest} is not here`);
    }
    if (this.manners.etags === "honoured" && this.#isStale(request, name, reference)) {
      return error(412, "PRECONDITION_FAILED", "somebody else was here");
    }
    const tag = isDigest(reference) ? {} : { tag: reference };
    this.addManifest(name, { mediaType, bytes, ...tag });
    const { subject } = parsed;
    return new Response(null, {
      status: 201,
      headers: {
        location: `/v2/${name}/manifests/${digest}`,
        "docker-content-digest": digest,
        ...(this.manners.referrersApi && this.manners.ociSubject && subject !== undefined
          ? { "oci-subject": subject.digest }
          : {}),
      },
    });
  }

  #isStale(request: Request, name: string, reference: string): boolean {
    const { tags, manifests } = this.#repository(name);
    const digest = isDigest(reference) ? reference : tags.get(reference);
    const isThere = digest !== undefined && manifests.has(digest);
    const ifMatch = request.headers.get("if-match");
    return (
      (request.headers.get("if-none-match") === "*" && isThere) ||
      (ifMatch !== null && (!isThere || ifMatch !== `"${digest}"`))
    );
  }
}
