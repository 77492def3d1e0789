import { expect } from "bun:test";
import fc from "fast-check";
import { parseChallenges } from "../../src/oci/auth-challenge.ts";
import { parseContentRange } from "../../src/oci/content-range.ts";
import { readErrorBody } from "../../src/oci/http-error-body.ts";
import { nextLink } from "../../src/oci/link-header.ts";
import { MAX_PART_HEADERS, readFirstPart } from "../../src/oci/multipart-range.ts";
import { parseRetryAfter } from "../../src/oci/retry.ts";
import { fuzz } from "./fuzz.ts";

/** Headers made of what their grammars are made of, some repeated until they are long. */
function headerOf(...pieces: readonly string[]): fc.Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...pieces) },
    { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
  );
  return fc
    .record({
      parts: fc.array(piece, { maxLength: 14 }),
      times: fc.oneof(
        { weight: 8, arbitrary: fc.constant(1) },
        { weight: 1, arbitrary: fc.nat(4000) },
      ),
    })
    .map(({ parts, times }) => parts.join("").repeat(times).slice(0, 100_000));
}

/** Fails for what takes longer than reading a header may: regular expressions that go back and back. */
function inTime<T>(read: () => T): T {
  const start = performance.now();
  const result = read();
  expect(performance.now() - start).toBeLessThan(3000);
  return result;
}

fuzz(
  "parseChallenges() reads any header, in bounded time",
  { runs: 800 },
  headerOf("Bearer", "Basic", " ", ",", "=", '"', "\\", 'realm="', "scope=a:b:c", ";", "\t"),
  (header) => {
    for (const { scheme, params } of inTime(() => parseChallenges(header))) {
      expect(scheme).toBe(scheme.toLowerCase());
      for (const key of params.keys()) expect(key).toBe(key.toLowerCase());
    }
  },
);

const BASE = new URL("https://registry.example/v2/a/referrers/b");

fuzz(
  "nextLink() reads any header, in bounded time",
  { runs: 800 },
  headerOf(
    "<",
    ">",
    "/v2/x?n=1",
    "https://other.example/",
    ";",
    "rel=",
    '"',
    "next",
    "prev",
    " ",
    ",",
    ' rel="next"',
  ),
  (header) => {
    const link = inTime(() => nextLink(header, BASE));
    expect(link === undefined || link instanceof URL).toBe(true);
  },
);

fuzz(
  "parseContentRange() gives sound ranges only",
  { runs: 1500 },
  headerOf("bytes ", "0", "-", "/", "*", "99", "9007199254740991", "9007199254740992", " "),
  (header) => {
    const range = inTime(() => parseContentRange(header));
    if (range === undefined) return;
    const { start, end, size } = range;
    expect([start, end, size ?? 0].every(Number.isSafeInteger)).toBe(true);
    expect(start >= 0 && start < end && end <= (size ?? end)).toBe(true);
  },
);

fuzz(
  "readFirstPart() finds content only behind headers that name a sound range",
  { runs: 800 },
  headerOf(
    "--",
    "boundary",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "Content-Range: ",
    "bytes 0-9/10",
    "Content-Type: a/b",
    ":",
  ),
  (body) => {
    const bytes = Buffer.from(body, "latin1");
    const part = inTime(() => readFirstPart(bytes));
    if (part === undefined) return;
    expect(part.range.start).toBeLessThan(part.range.end);
    expect(part.contentStart).toBeLessThanOrEqual(Math.min(bytes.length, MAX_PART_HEADERS));
  },
);

fuzz(
  "readErrorBody() and parseRetryAfter() read any text without control characters coming through",
  { runs: 1500 },
  headerOf(
    '{"errors":[{"code":"DENIED","message":"',
    '"}]}',
    "<Code>A</Code>",
    "<Message>",
    "</Message>",
    "\u001b[31m",
    "\u0000",
    "\u009b",
    "120",
    "Wed, 21 Oct 2026 07:28:00 GMT",
  ),
  (text) => {
    const { code = "", reason = "" } = inTime(() => readErrorBody(new TextEncoder().encode(text)));
    expect(/[\u0000-\u001f\u007f-\u009f]/.test(code + reason)).toBe(false);
    expect(code.length + reason.length).toBeLessThan(400);
    const wait = parseRetryAfter(text, 0);
    expect(wait === undefined || wait >= 0).toBe(true);
  },
);
