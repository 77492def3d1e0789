import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { bytesOf } from "./blob-body.ts";
import type { BlobRequests } from "./blob-requests.ts";
import type { Descriptor } from "./descriptor.ts";
import { DownloadPace } from "./download-pace.ts";
import { HttpError } from "./http-error.ts";
import type { BlobRangeOptions } from "./image-source.ts";
import type { RegistrySession } from "./registry-session.ts";
import { retryWaitMs } from "./retry.ts";

export interface DownloadOptions extends BlobRangeOptions {
  /** Read on to the end of the blob where the server gives it anyway. */
  readonly takeAll?: boolean;
}

// A server that gives a byte and hangs up, over and over, is given up in the end.
const MAX_BREAKS = 1000;

/**
 * Bytes [start, end) of a blob, exactly that many, not verified. When the connection breaks, the
 * download goes on where it stopped. @throws data-loss when the registry's blob has another size
 */
export async function* downloadBlob(
  requests: BlobRequests,
  blob: Descriptor,
  {
    start,
    end: wantedEnd,
    isFresh,
    retry = true,
    signal,
    takeAll = false,
    onOpen,
  }: DownloadOptions,
): AsyncGenerator<Uint8Array> {
  const { session } = requests;
  let at = start;
  let end = wantedEnd;
  let fruitless = 0;
  const pace = new DownloadPace();
  for (let breaks = 0; at < end; breaks++) {
    const from = at;
    const asked = performance.now();
    let oursMs = 0;
    await using response = await requests.open(blob, { start: at, end, isFresh, retry, signal });
    const isPartial = response.status === 206;
    onOpen?.({ isPartial, ms: performance.now() - asked });
    if (!isPartial && takeAll) {
      end = blob.size;
    }
    try {
      for await (const chunk of bytesOf(response, blob, { start: at, end })) {
        at += chunk.length;
        const given = performance.now();
        yield chunk;
        oursMs += performance.now() - given;
        // What has arrived already would else come without a look at the signal.
        signal?.throwIfAborted();
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof HttpError) || !error.temporary || breaks >= MAX_BREAKS) {
        throw error;
      }
      if (at === from) {
        requests.forgetLocation(blob);
        session.distrust(response.url);
      }
      if (!retry) {
        throw error;
      }
      const theirMs = performance.now() - asked - oursMs;
      fruitless = pace.broke(at - from, theirMs) ? 0 : fruitless + 1;
      const waitMs = retryWaitMs(requests.retryPolicy, { retries: fruitless });
      if (waitMs === undefined) {
        throw error;
      }
      session.log.debug("download will go on", { digest: blob.digest, at, error });
      await delay(waitMs, { signal });
    }
  }
}

/** The size in bytes of a registry's blob; `undefined` when it has none of this digest. */
export async function headBlob(
  session: RegistrySession,
  digest: Descriptor["digest"],
  { signal }: WaitOptions = {},
): Promise<number | undefined> {
  try {
    await using response = await session.send({ method: "HEAD", path: `blobs/${digest}`, signal });
    const length = response.headers.get("content-length");
    return length === null ? undefined : Number(length);
  } catch (error) {
    if (error instanceof HttpError && error.status === 404) {
      return undefined;
    }
    throw error;
  }
}
