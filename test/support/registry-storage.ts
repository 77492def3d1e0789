import { type Digest, isDigest } from "../../src/oci/digest.ts";
import { answerBlob } from "./blob-answer.ts";
import type { BlobStore } from "./blob-store.ts";
import { error } from "./registry-answers.ts";
import type { RequestRecord } from "./registry-manners.ts";

/** How a storage answers a signature that has run out. */
export type ExpiredAnswer = 403 | 404 | 410 | "400 ExpiredToken";

export interface TestStorageOptions {
  readonly whenExpired?: ExpiredAnswer;
  /** How many requests a signed URL is good for. */
  readonly usesPerUrl?: number;
}

const RANGES = {
  ignoreRange: false,
  refuseRange: undefined,
  multipartRanges: false,
  maxRangeBytes: Number.POSITIVE_INFINITY,
};
const EXPIRED =
  '<?xml version="1.0"?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>';

/** An object store behind a registry, on a port of its own: it takes signed URLs and no credentials. */
export class TestStorage implements AsyncDisposable {
  whenExpired: ExpiredAnswer;
  readonly requests: RequestRecord[] = [];
  readonly #blobs: BlobStore;
  readonly #usesPerUrl: number;
  readonly #usesLeft = new Map<string, number>();
  readonly #server: Bun.Server<undefined>;
  #signatures = 0;

  constructor(
    blobs: BlobStore,
    { whenExpired = 403, usesPerUrl = Number.POSITIVE_INFINITY }: TestStorageOptions = {},
  ) {
    this.#blobs = blobs;
    this.whenExpired = whenExpired;
    this.#usesPerUrl = usesPerUrl;
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      development: false,
      fetch: async (request) => {
        const url = new URL(request.url);
        const response = await this.#answer(request, url);
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
      },
    });
  }

  /** A new signed URL of a blob. */
  urlOf(digest: Digest): string {
    this.#signatures += 1;
    const signature = `secret-${this.#signatures}`;
    this.#usesLeft.set(signature, this.#usesPerUrl);
    return `http://127.0.0.1:${this.#server.port}/bucket/${digest}?X-Signature=${signature}`;
  }

  /** Makes every URL so far worthless. */
  expire(): void {
    this.#usesLeft.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }

  async #answer(request: Request, url: URL): Promise<Response> {
    if (request.headers.has("authorization")) {
      // As S3 does: two ways to authorize are an error.
      return error(400, "InvalidArgument", "only one auth mechanism allowed");
    }
    const signature = url.searchParams.get("X-Signature") ?? "";
    const left = this.#usesLeft.get(signature) ?? 0;
    if (left <= 0) {
      return this.whenExpired === "400 ExpiredToken"
        ? new Response(EXPIRED, { status: 400, headers: { "content-type": "application/xml" } })
        : new Response("<Error><Code>AccessDenied</Code></Error>", { status: this.whenExpired });
    }
    this.#usesLeft.set(signature, left - 1);
    const digest = url.pathname.split("/").at(-1) ?? "";
    const blob = isDigest(digest) ? await this.#blobs.get(digest) : undefined;
    if (blob === undefined) {
      return new Response("<Error><Code>NoSuchKey</Code></Error>", { status: 404 });
    }
    const { status, headers, body } = answerBlob(request, blob, RANGES);
    return new Response(body, { status, headers: { ...headers } });
  }
}
