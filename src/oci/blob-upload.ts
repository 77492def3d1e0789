import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { headBlob } from "./blob-download.ts";
import type { Descriptor } from "./descriptor.ts";
import { HttpError } from "./http-error.ts";
import type { HttpResponse } from "./http-response.ts";
import { OCTET_STREAM } from "./media-types.ts";
import type { RegistrySession } from "./registry-session.ts";
import { retryWaitMs } from "./retry.ts";
import { verifyStream } from "./verified-stream.ts";

/** Gives a blob's bytes from the start, as often as it is called. */
export type BlobOpener = () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Puts a blob into a repository in one piece, unless it is there; whether it was sent.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#post-then-put
 * @throws data-loss when `open` gives other bytes than the descriptor says
 */
export async function uploadBlob(
  session: RegistrySession,
  blob: Descriptor,
  { open, signal }: WaitOptions & { readonly open: BlobOpener },
): Promise<boolean> {
  if ((await headBlob(session, blob.digest, { signal })) === blob.size) {
    return false;
  }
  for (let retries = 0; ; retries++) {
    try {
      await uploadOnce(session, blob, { open, signal });
      return true;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof HttpError) || !isWorthAnother(error)) {
        throw error;
      }
      const { retryAfterMs } = error;
      const waitMs = retryWaitMs(session.retryPolicy, { retries, retryAfterMs });
      if (waitMs === undefined) {
        throw error;
      }
      session.log.debug("upload will start again", { digest: blob.digest, error, waitMs });
      await delay(waitMs, { signal });
    }
  }
}

// An upload session that is gone (404 on its PUT) is as good as a broken connection.
function isWorthAnother(error: HttpError): boolean {
  return error.temporary || (error.method === "PUT" && error.status === 404);
}

async function uploadOnce(
  session: RegistrySession,
  blob: Descriptor,
  { open, signal }: WaitOptions & { readonly open: BlobOpener },
): Promise<void> {
  const target = await startUpload(session, signal);
  await using _done = await session.send({
    method: "PUT",
    path: withDigest(target, blob.digest),
    headers: { "content-type": OCTET_STREAM },
    // Checked as it leaves: wrong bytes never become a whole request.
    body: { size: blob.size, open: () => verifyStream(open(), blob, `blob ${blob.digest}`) },
    // A broken upload starts again from its POST.
    retry: false,
    signal,
  });
}

async function startUpload(
  session: RegistrySession,
  signal: AbortSignal | undefined,
): Promise<URL> {
  await using response = await session.send({
    method: "POST",
    path: "blobs/uploads/",
    body: { size: 0, open: () => [] },
    signal,
  });
  return locationOf(response);
}

function locationOf(response: HttpResponse): URL {
  const location = response.headers.get("location");
  const url = location === null ? null : URL.parse(location, response.url.href);
  if (url === null || (url.protocol !== "https:" && url.protocol !== response.url.protocol)) {
    throw new HttpError({
      method: "POST",
      url: response.url,
      status: response.status,
      reason: "the answer has no usable Location",
      kind: "failed-precondition",
      temporary: false,
    });
  }
  return url;
}

// Appended as text: what the registry put into the query (it may be signed) stays as it is.
function withDigest(target: URL, digest: string): URL {
  const url = new URL(target);
  url.search = `${url.search === "" ? "?" : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
  return url;
}
