import { abortable } from "../async/abortable.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { Digest } from "./digest.ts";
import { HttpError } from "./http-error.ts";
import type { HttpResponse } from "./http-response.ts";

interface Location {
  /** Absent after it has failed. */
  url: URL | undefined;
  /** Settles, always well, when somebody has asked the registry again. */
  renewal: Promise<void> | undefined;
}

export interface BlobLocationsUse extends WaitOptions {
  /** Asks the registry, redirects followed. */
  readonly ask: () => Promise<HttpResponse>;
  /** Asks the place where the registry sent us before. */
  readonly askThere: (url: URL) => Promise<HttpResponse>;
}

const MAX_REMEMBERED = 4096;
const MAX_STALE = 3;

/**
 * Where the registry sends readers of its blobs: storage, by URLs that are signed for a while. Each
 * is used, without asking the registry, until it fails; then one reader asks again, for all.
 */
export class BlobLocations {
  readonly #locations = new Map<Digest, Location>();

  /** An answer about the blob, from where it is known to be or by way of the registry. */
  async open(digest: Digest, { ask, askThere, signal }: BlobLocationsUse): Promise<HttpResponse> {
    for (let stale = 0; stale < MAX_STALE; stale++) {
      await abortable(this.#locations.get(digest)?.renewal ?? Promise.resolve(), signal);
      const location = this.#locations.get(digest);
      if (location?.renewal !== undefined) {
        continue;
      }
      if (location?.url === undefined) {
        return await this.#learn(digest, location, ask);
      }
      const { url } = location;
      try {
        return await askThere(url);
      } catch (error) {
        signal?.throwIfAborted();
        // 403, 404, 410, S3's 400 ExpiredToken, a dead host: whatever it is, the registry knows better.
        if (!(error instanceof HttpError) || error.status === 416) {
          throw error;
        }
        this.forget(digest, url);
      }
    }
    return await ask();
  }

  /** The place is of no use any more; all places of the blob unless one is named. */
  forget(digest: Digest, url?: URL): void {
    const location = this.#locations.get(digest);
    if (location !== undefined && (url === undefined || location.url === url)) {
      location.url = undefined;
    }
  }

  async #learn(
    digest: Digest,
    location: Location | undefined,
    ask: () => Promise<HttpResponse>,
  ): Promise<HttpResponse> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (location !== undefined) {
      location.renewal = promise;
    }
    try {
      const response = await ask();
      this.#remember(digest, response.isRedirected ? response.url : undefined);
      return response;
    } finally {
      if (location !== undefined) {
        location.renewal = undefined;
      }
      resolve();
    }
  }

  #remember(digest: Digest, url: URL | undefined): void {
    const location = this.#locations.get(digest);
    if (url === undefined) {
      this.#locations.delete(digest);
    } else if (location !== undefined) {
      location.url = url;
    } else {
      const [oldest] = this.#locations.keys();
      if (oldest !== undefined && this.#locations.size >= MAX_REMEMBERED) {
        this.#locations.delete(oldest);
      }
      this.#locations.set(digest, { url, renewal: undefined });
    }
  }
}
