import { BlobLocations } from "./blob-locations.ts";
import type { Descriptor } from "./descriptor.ts";
import { HttpError } from "./http-error.ts";
import type { HttpResponse } from "./http-response.ts";
import type { BlobRangeOptions } from "./image-source.ts";
import type { RegistrySession } from "./registry-session.ts";
import type { RetryPolicy } from "./retry.ts";

// How servers answer that do no ranges, or none at all of what we ask.
const NO_RANGES = [400, 416, 501];

/** GETs of blobs of one repository. */
export class BlobRequests {
  readonly session: RegistrySession;
  /** How temporary failures are tried again. */
  readonly retryPolicy: RetryPolicy;
  readonly #locations = new BlobLocations();
  #areRangesRefused = false;

  constructor(session: RegistrySession, retryPolicy: RetryPolicy = session.retryPolicy) {
    this.session = session;
    this.retryPolicy = retryPolicy;
  }

  /** The answer for bytes [start, end) of a blob: these, the first of them, or the whole blob. */
  async open(blob: Descriptor, options: BlobRangeOptions): Promise<HttpResponse> {
    const { start, end } = options;
    const isWhole = (start === 0 && end === blob.size) || this.#areRangesRefused;
    if (isWhole) {
      return await this.#open(blob, {}, options);
    }
    try {
      return await this.#open(blob, { range: `bytes=${start}-${end - 1}` }, options);
    } catch (error) {
      if (!(error instanceof HttpError) || !NO_RANGES.includes(error.status ?? 0)) {
        throw error;
      }
      this.session.log.debug("range refused", { digest: blob.digest, start, end, error });
      const response = await this.#open(blob, {}, options);
      // Else it was this range that the registry does not have.
      this.#areRangesRefused = response.headers.get("content-length") === String(blob.size);
      return response;
    }
  }

  /** Ask the registry next time: its storage gives nothing. */
  forgetLocation({ digest }: Descriptor): void {
    this.#locations.forget(digest);
  }

  async #open(
    { digest }: Descriptor,
    headers: Readonly<Record<string, string>>,
    { isFresh = false, retry = true, signal }: BlobRangeOptions,
  ): Promise<HttpResponse> {
    const ask = (): Promise<HttpResponse> =>
      this.session.send({
        method: "GET",
        path: `blobs/${digest}`,
        headers: isFresh ? { ...headers, "cache-control": "no-cache" } : headers,
        isForOrigin: isFresh,
        retry: retry ? this.retryPolicy : false,
        signal,
      });
    if (isFresh) {
      this.#locations.forget(digest);
      return await ask();
    }
    const askThere = (url: URL): Promise<HttpResponse> =>
      this.session.send({ method: "GET", path: url, headers, retry: false, signal });
    return await this.#locations.open(digest, { ask, askThere, signal });
  }
}
