import { delay } from "../async/delay.ts";
import { HttpError } from "./http-error.ts";
import type { RegistryRequest, RegistrySession } from "./registry-session.ts";
import { retryWaitMs } from "./retry.ts";

/** A small answer, whole. */
export interface FetchedDocument {
  readonly bytes: Uint8Array;
  readonly headers: Headers;
  /** Where it came from, after redirects. */
  readonly url: URL;
}

export type DocumentRequest = Pick<
  RegistryRequest,
  "path" | "headers" | "isForOrigin" | "signal"
> & {
  readonly maxBytes: number;
};

/** GETs a document of at most `maxBytes`; from the start again when the connection breaks in the middle. */
export async function fetchDocument(
  session: RegistrySession,
  { maxBytes, ...request }: DocumentRequest,
): Promise<FetchedDocument> {
  const { signal } = request;
  const started = performance.now();
  for (let retries = 0; ; retries++) {
    // Outside the try: it has made its own retries.
    await using response = await session.send({ ...request, method: "GET" });
    const { headers, url } = response;
    try {
      return { bytes: await response.bytes(maxBytes), headers, url };
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof HttpError) || !error.temporary) {
        throw error;
      }
      const elapsedMs = performance.now() - started;
      const waitMs = retryWaitMs(session.retryPolicy, { retries, elapsedMs });
      if (waitMs === undefined) {
        throw error;
      }
      session.log.debug("document will be fetched again", { error, waitMs });
      await delay(waitMs, { signal });
    }
  }
}
