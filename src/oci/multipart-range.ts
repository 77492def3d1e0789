import { type ContentRange, parseContentRange } from "./content-range.ts";

/** The first part of a multipart/byteranges body: which bytes it holds, and what has come of them so far. */
export interface FirstPart {
  readonly range: ContentRange;
  /** Where in `bytes` the part's content begins. */
  readonly contentStart: number;
}

/** Longest preamble and part headers that are read. */
export const MAX_PART_HEADERS = 8192;
const BLANK_LINE = "\r\n\r\n";
const CONTENT_RANGE = /^content-range:(.*)$/im;

/**
 * Reads the start of a multipart/byteranges body, as some servers answer even a single range with;
 * `undefined` when it does not end its headers or they name no sound range.
 * https://www.rfc-editor.org/rfc/rfc9110#section-14.6
 */
export function readFirstPart(bytes: Uint8Array): FirstPart | undefined {
  const text = Buffer.from(bytes.subarray(0, MAX_PART_HEADERS)).toString("latin1");
  const headersEnd = text.indexOf(BLANK_LINE, firstBoundary(text));
  if (headersEnd < 0) {
    return undefined;
  }
  const [, value] = CONTENT_RANGE.exec(text.slice(0, headersEnd)) ?? [];
  const range = parseContentRange(value ?? null);
  return range === undefined ? undefined : { range, contentStart: headersEnd + BLANK_LINE.length };
}

// A preamble, blank lines included, may stand before the first boundary.
function firstBoundary(text: string): number {
  return text.startsWith("--") ? 0 : Math.max(text.indexOf("\r\n--"), 0) + 2;
}
