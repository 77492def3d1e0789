import type { RegistryManners } from "./registry-manners.ts";

export type RangeManners = Pick<
  RegistryManners,
  "ignoreRange" | "refuseRange" | "multipartRanges" | "maxRangeBytes"
>;

interface Range {
  readonly start: number;
  readonly end: number;
}

export interface BlobAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Blob | null;
}

const BOUNDARY = "THIS_STRING_SEPARATES";

/** The answer to a GET of a blob, by range or whole. */
export function answerBlob(request: Request, blob: Blob, manners: RangeManners): BlobAnswer {
  const asked = request.headers.get("range");
  if (asked !== null && manners.refuseRange !== undefined) {
    return { status: manners.refuseRange, headers: {}, body: null };
  }
  const range = manners.ignoreRange ? undefined : rangeOf(asked, blob.size, manners.maxRangeBytes);
  if (range === "unsatisfiable") {
    return { status: 416, headers: { "content-range": `bytes */${blob.size}` }, body: null };
  }
  if (range === undefined) {
    return { status: 200, headers: { "content-length": String(blob.size) }, body: blob };
  }
  const contentRange = `bytes ${range.start}-${range.end - 1}/${blob.size}`;
  const slice = blob.slice(range.start, range.end);
  return manners.multipartRanges
    ? multipart(slice, contentRange)
    : {
        status: 206,
        headers: { "content-range": contentRange, "content-length": String(slice.size) },
        body: slice,
      };
}

function multipart(slice: Blob, contentRange: string): BlobAnswer {
  const type = "Content-Type: application/octet-stream";
  const body = new Blob([
    `\r\n--${BOUNDARY}\r\n${type}\r\nContent-Range: ${contentRange}\r\n\r\n`,
    slice,
    `\r\n--${BOUNDARY}--\r\n`,
  ]);
  return {
    status: 206,
    headers: {
      "content-type": `multipart/byteranges; boundary=${BOUNDARY}`,
      "content-length": String(body.size),
    },
    body,
  };
}

function rangeOf(
  header: string | null,
  size: number,
  maxBytes: number,
): Range | "unsatisfiable" | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined) {
    return undefined;
  }
  const start = Number(first);
  const end = last === undefined || last === "" ? size : Math.min(Number(last) + 1, size);
  return start >= size || start >= end
    ? "unsatisfiable"
    : { start, end: Math.min(end, start + maxBytes) };
}
