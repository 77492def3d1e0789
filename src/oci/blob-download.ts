import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { parseContentRange } from "./content-range.ts";
import type { Descriptor } from "./descriptor.ts";
import { HttpError } from "./http-error.ts";
import type { HttpResponse } from "./http-response.ts";
import type { BlobRangeOptions } from "./image-source.ts";
import { mediaTypeOf } from "./media-types.ts";
import type { RegistrySession } from "./registry-session.ts";
import { retryWaitMs } from "./retry.ts";

// A server that gives a byte and hangs up, over and over, is given up in the end.
const MAX_BREAKS = 1000;

/**
 * Bytes [start, end) of a blob, exactly that many, not verified. When the connection breaks, the
 * download goes on where it stopped. @throws data-loss when the registry's blob has another size
 */
export async function* downloadBlob(
  session: RegistrySession,
  blob: Descriptor,
  { start, end, signal }: BlobRangeOptions,
): AsyncGenerator<Uint8Array> {
  let at = start;
  let fruitless = 0;
  for (let breaks = 0; at < end; breaks++) {
    const from = at;
    await using response = await openAt(session, blob, { start: at, end, signal });
    try {
      for await (const chunk of bytesOf(response, blob, { start: at, end })) {
        at += chunk.length;
        yield chunk;
        // What has arrived already would else come without a look at the signal.
        signal?.throwIfAborted();
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof HttpError) || !error.temporary || breaks >= MAX_BREAKS) {
        throw error;
      }
      fruitless = at > from ? 0 : fruitless + 1;
      const waitMs = retryWaitMs(session.retryPolicy, { retries: fruitless });
      if (waitMs === undefined) {
        throw error;
      }
      session.log.debug("download will go on", { digest: blob.digest, at, error });
      await delay(waitMs, { signal });
    }
  }
}

async function openAt(
  session: RegistrySession,
  blob: Descriptor,
  { start, end, signal }: BlobRangeOptions,
): Promise<HttpResponse> {
  const isWhole = start === 0 && end === blob.size;
  try {
    return await session.send({
      method: "GET",
      path: `blobs/${blob.digest}`,
      headers: isWhole ? {} : { range: `bytes=${start}-${end - 1}` },
      signal,
    });
  } catch (cause) {
    if (cause instanceof HttpError && cause.status === 416) {
      throw new SociError(
        "data-loss",
        `Cannot read blob ${blob.digest} of ${session.name}: it has no byte ${start}, want ${blob.size} bytes`,
        { cause },
      );
    }
    throw cause;
  }
}

async function* bytesOf(
  response: HttpResponse,
  blob: Descriptor,
  want: { readonly start: number; readonly end: number },
): AsyncGenerator<Uint8Array> {
  const { bodyStart, bodyEnd } = bodyRange(response, blob, want);
  let at = bodyStart;
  for await (const chunk of response.body) {
    const from = Math.max(want.start - at, 0);
    const to = Math.min(want.end - at, chunk.length);
    at += chunk.length;
    if (at > bodyEnd) {
      throw wrongSize(response, blob, `more than ${bodyEnd - bodyStart} bytes in the body`);
    }
    if (from < to) {
      yield from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to);
    }
    // A whole blob is read to its end, where one byte too many shows; a skipped range is not.
    if (at >= want.end && want.end < bodyEnd) {
      return;
    }
  }
  if (at < Math.min(want.end, bodyEnd)) {
    throw new HttpError({
      method: "GET",
      url: response.url,
      reason: `the body ends after ${at - bodyStart} bytes, want ${bodyEnd - bodyStart}`,
    });
  }
}

/** Which bytes of the blob the body holds. */
function bodyRange(
  response: HttpResponse,
  blob: Descriptor,
  want: { readonly start: number; readonly end: number },
): { readonly bodyStart: number; readonly bodyEnd: number } {
  const length = response.headers.get("content-length");
  if (response.status !== 206) {
    // The registry does not do ranges: the body is the whole blob.
    if (length !== null && Number(length) !== blob.size) {
      throw wrongSize(response, blob, `${length} bytes`);
    }
    return { bodyStart: 0, bodyEnd: blob.size };
  }
  const header = response.headers.get("content-range");
  const range = parseContentRange(header);
  if (
    range === undefined ||
    mediaTypeOf(response.headers.get("content-type")).startsWith("multipart/")
  ) {
    throw new HttpError({
      method: "GET",
      url: response.url,
      status: response.status,
      reason: `Content-Range is ${JSON.stringify((header ?? "").slice(0, 100))}, want one range`,
      kind: "failed-precondition",
      temporary: false,
    });
  }
  if ((range.size ?? blob.size) !== blob.size) {
    throw wrongSize(response, blob, `${range.size} bytes`);
  }
  if (range.start !== want.start || range.end > want.end) {
    throw wrongSize(
      response,
      blob,
      `bytes ${range.start} to ${range.end} for ${want.start} to ${want.end}`,
    );
  }
  return { bodyStart: range.start, bodyEnd: range.end };
}

function wrongSize(response: HttpResponse, blob: Descriptor, found: string): SociError {
  return new SociError(
    "data-loss",
    `Cannot read blob ${blob.digest} of "${response.url.host}": got ${found}, want ${blob.size} bytes in all`,
  );
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
