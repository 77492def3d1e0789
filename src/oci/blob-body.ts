import { SociError } from "../errors.ts";
import { parseContentRange } from "./content-range.ts";
import type { Descriptor } from "./descriptor.ts";
import { HttpError } from "./http-error.ts";
import type { HttpResponse } from "./http-response.ts";
import { mediaTypeOf } from "./media-types.ts";
import { MAX_PART_HEADERS, readFirstPart } from "./multipart-range.ts";

/** Bytes [start, end) of a blob. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Which bytes of the blob a body holds, and how they come. */
interface HeldBytes extends ByteRange {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Something may follow that is not the blob's: the end of a multipart body. */
  readonly hasTrailer: boolean;
}

/**
 * The wanted bytes out of an answer to a GET of a blob, or the first of them when the server gives
 * fewer. @throws data-loss when it is a blob of another size or other bytes of it, unavailable when
 * the body ends early
 */
export async function* bytesOf(
  response: HttpResponse,
  blob: Descriptor,
  want: ByteRange,
): AsyncGenerator<Uint8Array> {
  const held = await heldBytes(response, blob, want);
  let at = held.start;
  for await (const chunk of held.chunks) {
    const from = Math.max(want.start - at, 0);
    const to = Math.min(want.end - at, held.end - at, chunk.length);
    at += chunk.length;
    if (at > held.end && !held.hasTrailer) {
      throw wrongSize(response, blob, `more than ${held.end - held.start} bytes in the body`);
    }
    if (from < to) {
      yield from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to);
    }
    // A whole blob is read to its end, where one byte too many shows; a skipped range is not.
    if (at >= want.end && (want.end < held.end || held.hasTrailer)) {
      return;
    }
    if (held.hasTrailer && at >= held.end) {
      return;
    }
  }
  if (at < Math.min(want.end, held.end)) {
    throw new HttpError({
      method: "GET",
      url: response.url,
      reason: `the body ends after ${at - held.start} bytes, want ${held.end - held.start}`,
    });
  }
}

async function heldBytes(
  response: HttpResponse,
  blob: Descriptor,
  want: ByteRange,
): Promise<HeldBytes> {
  const { headers, body } = response;
  const length = headers.get("content-length");
  if (response.status !== 206) {
    // The registry does not do ranges: the body is the whole blob.
    if (length !== null && Number(length) !== blob.size) {
      throw wrongSize(response, blob, `${length} bytes`);
    }
    return { start: 0, end: blob.size, chunks: body, hasTrailer: false };
  }
  const isMultipart = mediaTypeOf(headers.get("content-type")) === "multipart/byteranges";
  const part = isMultipart ? await firstPart(response) : undefined;
  const header = headers.get("content-range");
  const range = part?.range ?? parseContentRange(header);
  if (range === undefined) {
    throw new HttpError({
      method: "GET",
      url: response.url,
      status: response.status,
      reason: `Content-Range is ${JSON.stringify((header ?? "").slice(0, 100))}, want one range`,
      kind: "failed-precondition",
      temporary: false,
    });
  }
  const { start, end, size = blob.size } = range;
  if (size !== blob.size) {
    throw wrongSize(response, blob, `${size} bytes`);
  }
  if (start !== want.start || end > want.end) {
    const found = `bytes ${start} to ${end} for ${want.start} to ${want.end}`;
    throw wrongSize(response, blob, found);
  }
  return { start, end, chunks: part?.chunks ?? body, hasTrailer: part !== undefined };
}

async function firstPart(response: HttpResponse) {
  // Stepped through by hand: leaving a for-await would close the body.
  const chunks = response.body[Symbol.asyncIterator]();
  const read: Uint8Array[] = [];
  for (let size = 0; size < MAX_PART_HEADERS;) {
    const next = await chunks.next();
    if (next.done === true) {
      break;
    }
    read.push(next.value);
    size += next.value.length;
    const bytes = Buffer.concat(read);
    const part = readFirstPart(bytes);
    if (part !== undefined) {
      const { range, contentStart } = part;
      return { range, chunks: both(bytes.subarray(contentStart), chunks) };
    }
  }
  return undefined;
}

async function* both(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield first;
    for (;;) {
      const next = await rest.next();
      if (next.done === true) {
        return;
      }
      yield next.value;
    }
  } finally {
    await rest.return?.();
  }
}

function wrongSize(response: HttpResponse, blob: Descriptor, found: string): SociError {
  return new SociError(
    "data-loss",
    `Cannot read blob ${blob.digest} of "${response.url.host}": got ${found}, want ${blob.size} bytes in all`,
  );
}
