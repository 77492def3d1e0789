import { randomUUID } from "node:crypto";
import { type Digest, isDigest } from "../../src/oci/digest.ts";
import type { BlobStore } from "./blob-store.ts";
import { both, error, type Fault, fits, take } from "./registry-answers.ts";
import type { RegistryManners, UploadFault } from "./registry-manners.ts";

interface Upload {
  readonly parts: Uint8Array[];
  held: number;
  /** A chunk below the minimum has come: it must have been the last. */
  hasShortChunk: boolean;
}

export interface UploadsOptions {
  readonly manners: RegistryManners;
  readonly blobs: BlobStore;
  /** As absolute locations begin. */
  readonly base: () => string;
  /** The blobs of a repository by its name. */
  readonly blobsOf: (repository: string) => Set<Digest>;
}

export interface UploadRequest {
  /** Of the repository. */
  readonly name: string;
  readonly id: string;
}

/** The upload sessions of a test registry. */
export class RegistryUploads {
  readonly #options: UploadsOptions;
  readonly #uploads = new Map<string, Upload>();
  readonly #faults: Fault<UploadFault>[] = [];

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  /** Sessions that were begun and neither ended nor cancelled. */
  get open(): number {
    return this.#uploads.size;
  }

  breakNext(times: number, fault: UploadFault): void {
    this.#faults.push({ what: fault, left: times });
  }

  async answer(request: Request, url: URL, { name, id }: UploadRequest): Promise<Response> {
    if (request.method === "POST") {
      return this.#begin(url, name);
    }
    const upload = this.#uploads.get(id);
    if (upload === undefined) {
      return error(404, "BLOB_UPLOAD_UNKNOWN", "upload unknown to registry");
    }
    switch (request.method) {
      case "GET":
        return this.#status(upload, { name, id });
      case "DELETE":
        return this.#cancel(id);
      case "PATCH":
        return await this.#chunk(request, upload, { name, id });
      case "PUT":
        return await this.#finish(request, url, { upload, name, id });
      default:
        return error(405, "UNSUPPORTED", "not allowed");
    }
  }

  #begin(url: URL, name: string): Response {
    const { manners, blobsOf } = this.#options;
    const digest = url.searchParams.get("mount") ?? "";
    const from = url.searchParams.get("from") ?? "";
    if (digest !== "" && manners.mounts === "forbidden") {
      return error(403, "DENIED", "no mounts for you");
    }
    const canMount = manners.mounts === "allowed" && isDigest(digest) && blobsOf(from).has(digest);
    if (canMount) {
      blobsOf(name).add(digest);
      const location = `/v2/${name}/blobs/${digest}`;
      return new Response(null, { status: 201, headers: { location } });
    }
    const id = randomUUID();
    this.#uploads.set(id, { parts: [], held: 0, hasShortChunk: false });
    return new Response(null, { status: 202, headers: this.#headers(name, id) });
  }

  #status(upload: Upload, { name, id }: UploadRequest): Response {
    if (!this.#options.manners.uploadStatus) {
      return error(405, "UNSUPPORTED", "not allowed");
    }
    const headers = { ...this.#headers(name, id), range: rangeOf(upload) };
    return new Response(null, { status: 204, headers });
  }

  #cancel(id: string): Response {
    if (!this.#options.manners.cancelUploads) {
      return error(405, "UNSUPPORTED", "not allowed");
    }
    this.#uploads.delete(id);
    return new Response(null, { status: 204 });
  }

  async #chunk(request: Request, upload: Upload, where: UploadRequest): Promise<Response> {
    const { chunkMinBytes, chunkMaxBytes } = this.#options.manners;
    const [, first, last] = /^(\d+)-(\d+)$/.exec(request.headers.get("content-range") ?? "") ?? [];
    const size = Number(last) + 1 - Number(first);
    if (Number(first) !== upload.held) {
      const headers = { ...this.#headers(where.name, where.id), range: rangeOf(upload) };
      return new Response(null, { status: 416, headers });
    }
    if (size > chunkMaxBytes) {
      return error(413, "SIZE_INVALID", "chunk too large");
    }
    if (upload.hasShortChunk) {
      return error(400, "SIZE_INVALID", "only the last chunk may be short");
    }
    const broken = await this.#receive(request, upload);
    if (broken !== undefined) {
      return broken;
    }
    upload.hasShortChunk = size < (chunkMinBytes ?? 0);
    const headers = { ...this.#headers(where.name, where.id), range: rangeOf(upload) };
    return new Response(null, { status: 202, headers });
  }

  async #finish(
    request: Request,
    url: URL,
    { upload, name, id }: UploadRequest & { readonly upload: Upload },
  ): Promise<Response> {
    const { manners, blobs, blobsOf } = this.#options;
    const hasBody = Number(request.headers.get("content-length") ?? 0) > 0;
    if (hasBody && manners.refusePut !== undefined) {
      return error(manners.refusePut, "UNSUPPORTED", "in chunks, please");
    }
    const fault = this.#faults.some(
      ({ what, left }) => left > 0 && fits(what.path, url.pathname) && what.method === "PUT",
    );
    if (fault) {
      const broken = await this.#receive(request, upload);
      if (broken !== undefined) {
        return broken;
      }
    }
    const want = url.searchParams.get("digest");
    const digest = await blobs.put(both(upload.parts, fault ? null : request.body));
    this.#uploads.delete(id);
    if (digest !== want) {
      await blobs.delete(digest);
      return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    blobsOf(name).add(digest);
    const location = `/v2/${name}/blobs/${digest}`;
    const headers = { location, "docker-content-digest": digest };
    return manners.loseUploadAnswers > 0
      ? this.#lose()
      : new Response(null, { status: 201, headers });
  }

  #lose(): Response {
    this.#options.manners.loseUploadAnswers -= 1;
    return error(502, "UNKNOWN", "the answer was lost");
  }

  /** Takes a body in, piece by piece: what came before a break is kept. */
  async #receive(request: Request, upload: Upload): Promise<Response | undefined> {
    const path = new URL(request.url).pathname;
    const fault = take(
      this.#faults,
      (what) => (what.method ?? request.method) === request.method && fits(what.path, path),
    );
    let left = fault?.at ?? Number.POSITIVE_INFINITY;
    // Not for-await: leaving it would cancel the body, which Bun answers by cutting the connection.
    const reader = request.body?.getReader();
    for (;;) {
      const next = await reader?.read();
      if (next === undefined || next.done) {
        break;
      }
      const kept = next.value.slice(0, Math.max(left, 0));
      left -= kept.length;
      upload.parts.push(kept);
      upload.held += kept.length;
    }
    return fault === undefined
      ? undefined
      : error(503, "UNKNOWN", "the upload broke, as ordered", { "retry-after": "0" });
  }

  #headers(name: string, id: string): Record<string, string> {
    const { manners, base } = this.#options;
    const { chunkMinBytes } = manners;
    return {
      // A query of its own, as signed uploads have: it must come back as it is.
      location: `${manners.relativeLocations ? "" : base()}/v2/${name}/blobs/uploads/${id}?_state=a%20b%2Bc`,
      "docker-upload-uuid": id,
      range: "0-0",
      ...(chunkMinBytes === undefined ? {} : { "oci-chunk-min-length": String(chunkMinBytes) }),
    };
  }
}

// Docker's registry says 0-0 for nothing, too.
function rangeOf({ held }: Upload): string {
  return `0-${Math.max(held - 1, 0)}`;
}
