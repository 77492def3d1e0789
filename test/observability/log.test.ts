import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SociError } from "../../src/errors.ts";
import { errorText } from "../../src/observability/error-text.ts";
import { jsonSink } from "../../src/observability/json-sink.ts";
import { logLevelOf } from "../../src/observability/log-level-of.ts";
import {
  createLogger,
  LOG_LEVELS,
  type LogLevel,
  type LogSink,
} from "../../src/observability/log.ts";
import { textSink } from "../../src/observability/text-sink.ts";
import { secretLines } from "../support/secret-patterns.ts";

const TIME = new Date("2024-05-06T07:08:09.010Z");

function linesOf(
  sinkOf: (write: (line: string) => void) => LogSink,
  level: LogLevel = "debug",
): { readonly lines: string[]; readonly log: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  const log = createLogger({ sink: sinkOf((line) => lines.push(line)), level, now: () => TIME });
  return { lines, log };
}

describe("createLogger()", () => {
  test.each(LOG_LEVELS.map((level, index) => ({ level, index })))(
    "writes records of $level and above",
    ({ level, index }) => {
      const { lines, log } = linesOf(jsonSink, level);
      for (const each of LOG_LEVELS) {
        log[each]("said");
      }
      expect(lines.map((line) => JSON.parse(line).level)).toEqual(LOG_LEVELS.slice(index));
    },
  );

  test("adds the fields of a child, the record's own last", () => {
    const { lines, log } = linesOf(jsonSink);
    log.child({ a: 1, b: 1 }).child({ b: 2, c: 2 }).info("said", { c: 3 });
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ a: 1, b: 2, c: 3 });
  });
});

describe("jsonSink()", () => {
  test("writes one object a line", () => {
    const { lines, log } = linesOf(jsonSink);
    log.warn("two\nlines", { n: 1 });
    expect(lines).toEqual([
      '{"time":"2024-05-06T07:08:09.010000000Z","level":"warn","msg":"two\\nlines","n":1}\n',
    ]);
  });

  test.each([
    {
      title: "an error with its cause",
      value: new SociError("data-loss", "a", { cause: new Error("b") }),
      want: { kind: "data-loss", message: "a", cause: { name: "Error", message: "b" } },
    },
    { title: "a big integer", value: 2n ** 70n, want: "1180591620717411303424" },
    { title: "bytes", value: new Uint8Array(5), want: "[5 bytes]" },
    {
      title: "a URL without user and query",
      value: new URL("https://u:p@h/x?sig=1"),
      want: "https://h/x",
    },
    { title: "a map", value: new Map([["a", 1n]]), want: [["a", "1"]] },
    { title: "no number", value: Number.NaN, want: "NaN" },
  ])("writes $title", ({ value, want }) => {
    const { lines, log } = linesOf(jsonSink);
    log.info("said", { value });
    expect(JSON.parse(lines[0] ?? "").value).toEqual(want);
  });

  test("writes an error in the field error as a text with its causes", () => {
    const { lines, log } = linesOf(jsonSink);
    const error = new SociError("unavailable", "a", { cause: new AggregateError([1, "c"], "b") });
    log.error("said", { error });
    expect(JSON.parse(lines[0] ?? "").error).toBe("a: b: 1: c");
  });

  test("says nothing that an audit takes for a leak, whatever a registry has answered", () => {
    const { lines, log } = linesOf(jsonSink);
    const answers = [
      "Your authorization token has expired",
      "invalid credentials: Bearer realm, basic auth, OAuth",
      "password, passwd, api_key, AWS_ACCESS_KEY, aws secret key",
      "AKIAABCDEFGHIJKLMNOP -----BEGIN RSA PRIVATE KEY-----",
    ];
    for (const answer of answers) {
      log.warn("refused", { error: new Error(answer), reason: answer, detail: answer });
    }
    expect(lines.length).toBe(answers.length);
    expect(secretLines(lines)).toEqual([]);
  });

  test("keeps strings strings", () => {
    const { lines, log } = linesOf(jsonSink);
    log.info("said", { "remote-snapshot-prepared": "true", digest: "sha256:1", n: "1" });
    const values = Object.values(JSON.parse(lines[0] ?? "{}"));
    expect(values.map((value) => typeof value)).toEqual(values.map(() => "string"));
  });

  test("writes the time as RFC 3339 with nine digits", () => {
    const { lines, log } = linesOf(jsonSink);
    log.info("said");
    expect(JSON.parse(lines[0] ?? "").time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  });

  test("keeps a field from taking the place of the record's own", () => {
    const { lines, log } = linesOf(jsonSink);
    log.info("said", { level: "fatal", msg: "x" });
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      level: "info",
      msg: "said",
      _level: "fatal",
      _msg: "x",
    });
  });

  test("cuts a cycle", () => {
    const { lines, log } = linesOf(jsonSink);
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    log.info("said", { cycle });
    expect(lines[0]).toContain("[…]");
  });

  test("survives a field that throws when read", () => {
    const { lines, log } = linesOf(jsonSink);
    const hostile = Object.defineProperty({}, "x", {
      enumerable: true,
      get: () => {
        throw new Error("no");
      },
    });
    log.info("said", { hostile });
    expect(lines[0]).toContain("unprintable");
  });

  test("writes any fields as one line of JSON", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string(),
          fc.anything({ withBigInt: true, withMap: true, withDate: true }),
        ),
        (fields) => {
          const { lines, log } = linesOf(jsonSink);
          log.info("said", fields);
          expect(lines.length).toBe(1);
          expect(lines[0]?.indexOf("\n")).toBe((lines[0]?.length ?? 0) - 1);
          expect(JSON.parse(lines[0] ?? "").msg).toBe("said");
        },
      ),
    );
  });
});

describe("errorText()", () => {
  test.each([
    { title: "a text", error: "gone", want: "gone" },
    {
      title: "an error without a message",
      error: Object.assign(new TypeError("x"), { message: "" }),
      want: "TypeError",
    },
    {
      title: "a cause that is said already",
      error: new Error("no: x", { cause: new Error("x") }),
      want: "no: x",
    },
    {
      title: "what came first and what came of it",
      error: new SuppressedError(new Error("b"), new Error("a"), "c"),
      want: "c: a: b",
    },
  ])("takes $title", ({ error, want }) => {
    expect(errorText(error)).toBe(want);
  });

  test("ends where the causes are a circle", () => {
    const error = new Error("round");
    error.cause = error;
    expect(errorText(error)).toBe("round");
  });
});

describe("logLevelOf()", () => {
  test.each([
    { name: "trace", want: "debug" as const },
    { name: "INFO", want: "info" as const },
    { name: "warning", want: "warn" as const },
    { name: "panic", want: "error" as const },
    { name: "verbose", want: undefined },
  ])("takes $name", ({ name, want }) => {
    expect(logLevelOf(name)).toBe(want);
  });
});

describe("textSink()", () => {
  test("writes time, level, message and fields", () => {
    const { lines, log } = linesOf(textSink);
    log.info("span fetched", { spanId: 3, host: "a.b", note: "two words", none: undefined });
    expect(lines).toEqual([
      '2024-05-06T07:08:09.010Z info  span fetched spanId=3 host=a.b note="two words"\n',
    ]);
  });

  test("lets no control character through", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.string({ unit: "binary" }),
        (message, value) => {
          const { lines, log } = linesOf(textSink);
          log.info(message, { value, [message]: 1 });
          expect(lines[0]?.slice(0, -1)).not.toMatch(
            /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202e]/,
          );
        },
      ),
    );
  });
});
