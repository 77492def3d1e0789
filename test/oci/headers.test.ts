import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseChallenges } from "../../src/oci/auth-challenge.ts";
import { parseContentRange } from "../../src/oci/content-range.ts";
import { readErrorBody } from "../../src/oci/http-error-body.ts";
import { nextLink } from "../../src/oci/link-header.ts";
import { mediaTypeOf } from "../../src/oci/media-types.ts";
import { parseRetryAfter, retryWaitMs } from "../../src/oci/retry.ts";

const POLICY = { maxRetries: 3, baseMs: 100, maxMs: 250, maxRetryAfterMs: 5000 };

describe("parseChallenges()", () => {
  test.each([
    { title: "Basic without parameters", header: "Basic", want: [["basic", []]] },
    {
      title: "Bearer with quoted commas",
      header: 'Bearer realm="https://a/t",service="b, c",scope="x:y:pull,push"',
      want: [
        [
          "bearer",
          [
            ["realm", "https://a/t"],
            ["service", "b, c"],
            ["scope", "x:y:pull,push"],
          ],
        ],
      ],
    },
    {
      title: "two schemes in one header",
      header: 'Basic realm="r", Bearer realm=https://b',
      want: [
        ["basic", [["realm", "r"]]],
        ["bearer", [["realm", "https://b"]]],
      ],
    },
    { title: "escapes", header: 'Basic realm="a\\"b"', want: [["basic", [["realm", 'a"b']]]] },
    { title: "nothing", header: "", want: [] },
  ])("reads $title", ({ header, want }) => {
    const got = parseChallenges(header).map(({ scheme, params }) => [scheme, [...params]]);
    expect<unknown>(got).toEqual(want);
  });

  test("ends on any text", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 500 }), (header) => {
        expect(parseChallenges(header).length).toBeLessThanOrEqual(header.length);
      }),
    );
  });

  test("is quick on a long header without an end", () => {
    const started = performance.now();
    parseChallenges(`Bearer realm="${'\\"'.repeat(100_000)}`);
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe("parseContentRange()", () => {
  test("reads a range as half-open", () => {
    expect(parseContentRange("bytes 5-9/20")).toEqual({ start: 5, end: 10, size: 20 });
  });

  test("leaves an unknown size open", () => {
    expect(parseContentRange("bytes 0-0/*")).toEqual({ start: 0, end: 1, size: undefined });
  });

  test.each([
    { title: "nothing", header: null },
    { title: "an unsatisfied range", header: "bytes */20" },
    { title: "a range that runs backwards", header: "bytes 9-5/20" },
    { title: "a range past the size", header: "bytes 5-20/20" },
    { title: "other units", header: "items 0-1/2" },
    { title: "huge numbers", header: "bytes 0-9999999999999999/*" },
  ])("refuses $title", ({ header }) => {
    expect(parseContentRange(header)).toBeUndefined();
  });
});

describe("nextLink()", () => {
  const base = new URL("http://h/v2/a/referrers/x");

  test.each([
    { title: "a relative target", header: '</v2/a?n=1>; rel="next"', want: "http://h/v2/a?n=1" },
    { title: "an unquoted rel", header: "<b?n=2>;rel=next", want: "http://h/v2/a/referrers/b?n=2" },
    {
      title: "the second of two",
      header: '<x>; rel="prev", <y>; rel="next"',
      want: "http://h/v2/a/referrers/y",
    },
    {
      title: "commas in the target",
      header: '<x?a=1,2>; rel="next"',
      want: "http://h/v2/a/referrers/x?a=1,2",
    },
  ])("finds $title", ({ header, want }) => {
    expect(nextLink(header, base)?.href).toBe(want);
  });

  test.each([
    { title: "no header", header: null },
    { title: "another rel", header: '<x>; rel="last"' },
    { title: "a rel that only contains the word", header: '<x>; rel="nextish"' },
  ])("is undefined for $title", ({ header }) => {
    expect(nextLink(header, base)).toBeUndefined();
  });
});

describe("retryWaitMs()", () => {
  test.each([
    { retries: 0, random: 0, want: 50 },
    { retries: 0, random: 1, want: 100 },
    { retries: 1, random: 1, want: 200 },
    { retries: 2, random: 1, want: 250 },
  ])("doubles up to the limit: retry $retries, random $random", ({ retries, random, want }) => {
    expect(retryWaitMs(POLICY, { retries, random: () => random })).toBe(want);
  });

  test("ends after maxRetries", () => {
    expect(retryWaitMs(POLICY, { retries: 3 })).toBeUndefined();
  });

  test("waits as long as Retry-After says", () => {
    expect(retryWaitMs(POLICY, { retries: 0, retryAfterMs: 4000 })).toBeGreaterThanOrEqual(4000);
  });

  test("does not wait for a Retry-After beyond the limit", () => {
    expect(retryWaitMs(POLICY, { retries: 0, retryAfterMs: 5001 })).toBeUndefined();
  });
});

describe("parseRetryAfter()", () => {
  test("reads seconds", () => {
    expect(parseRetryAfter("3")).toBe(3000);
  });

  test("reads a date", () => {
    const now = Date.parse("2024-01-01T00:00:00Z");
    expect(parseRetryAfter("Mon, 01 Jan 2024 00:00:10 GMT", now)).toBe(10_000);
  });

  test("takes a date that has passed as now", () => {
    expect(parseRetryAfter("Mon, 01 Jan 2001 00:00:10 GMT")).toBe(0);
  });

  test.each([{ text: "soon" }, { text: "" }, { text: "-5x" }])("ignores $text", ({ text }) => {
    expect(parseRetryAfter(text)).toBeUndefined();
  });
});

describe("readErrorBody()", () => {
  const read = (text: string) => readErrorBody(new TextEncoder().encode(text));

  test("reads a registry's JSON", () => {
    expect(read('{"errors":[{"code":"DENIED","message":"no"}]}')).toEqual({
      code: "DENIED",
      reason: '"no"',
    });
  });

  test("reads an object store's XML", () => {
    expect(read("<Error><Code>ExpiredToken</Code><Message>old</Message></Error>")).toEqual({
      code: "ExpiredToken",
      reason: '"old"',
    });
  });

  test("keeps control characters out", () => {
    expect(read('{"errors":[{"message":"a\\u001b[31mb\\nc"}]}').reason).toBe('"a [31mb c"');
  });

  test("never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(readErrorBody(bytes)).toBeObject();
      }),
    );
  });
});

describe("mediaTypeOf()", () => {
  test("drops parameters and capitals", () => {
    expect(mediaTypeOf("Application/JSON; charset=utf-8")).toBe("application/json");
  });
});
