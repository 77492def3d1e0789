import { describe, expect, test } from "bun:test";
import { parseCommandLine } from "../../src/cli/parse-command-line.ts";
import { SociError } from "../../src/errors.ts";
import { echoCommand } from "./sample-registry.ts";

function parse(...argv: string[]) {
  return parseCommandLine(argv, { command: echoCommand, path: "sociable echo" });
}

function refusal(...argv: string[]): SociError {
  try {
    parse(...argv);
  } catch (error) {
    if (error instanceof SociError) return error;
    throw error;
  }
  throw new Error("not refused");
}

describe("parseCommandLine()", () => {
  test("gives defaults, empty lists, false and undefined for what is absent", () => {
    const { args, flags } = parse("alpine");
    expect(args).toEqual({ image: "alpine", path: [] });
    expect(flags).toMatchObject({
      "span-size": 4_194_304,
      timeout: 30_000,
      platform: [],
      json: false,
      force: false,
    });
    expect(flags["jobs"]).toBeUndefined();
    expect(flags["compression"]).toBeUndefined();
  });

  test("converts each type", () => {
    const { flags } = parse(
      ...["--span-size", "64k", "--jobs=2", "--timeout", "1m", "--compression", "zstd"],
      ...["--output", "-", "--json", "alpine"],
    );
    expect(flags).toMatchObject({
      "span-size": 65_536,
      jobs: 2,
      timeout: 60_000,
      compression: "zstd",
      output: "-",
      json: true,
    });
  });

  test("collects a repeated flag in order", () => {
    const { flags } = parse("--platform", "linux/arm64", "alpine", "-p", "linux/amd64");
    expect(flags["platform"]).toEqual(["linux/arm64", "linux/amd64"]);
  });

  test("takes flags before, between and after arguments", () => {
    const { args, flags } = parse("-f", "alpine", "--json", "etc/passwd", "--jobs", "3", "bin/sh");
    expect(args).toEqual({ image: "alpine", path: ["etc/passwd", "bin/sh"] });
    expect(flags).toMatchObject({ force: true, json: true, jobs: 3 });
  });

  test("takes short flags together and a value right behind", () => {
    expect(parse("-fj4", "alpine").flags).toMatchObject({ force: true, jobs: 4 });
  });

  test("ends the flags at --", () => {
    expect(parse("--", "alpine", "--json").args).toEqual({ image: "alpine", path: ["--json"] });
  });

  test("takes - as an argument", () => {
    expect(parse("-").args["image"]).toBe("-");
  });

  test("takes a boolean twice", () => {
    expect(parse("--json", "--json", "alpine").flags["json"]).toBe(true);
  });

  test("hands out the global flags apart", () => {
    expect(parse("--root", "/r", "--log-level=debug", "alpine").globals).toMatchObject({
      root: "/r",
      "log-level": "debug",
      "log-format": "text",
    });
  });

  test.each([
    { title: "an unknown flag", argv: ["--bogus", "a"], says: "--bogus" },
    { title: "an unknown flag with a value", argv: ["--bogus=1", "a"], says: '"--bogus"' },
    { title: "an unknown short flag", argv: ["-x", "a"], says: "-x" },
    { title: "an unknown flag among short ones", argv: ["-fx", "a"], says: "-fx" },
    {
      title: "a flag named as a property of every object",
      argv: ["--toString", "a"],
      says: "--toString",
    },
    { title: "--__proto__", argv: ["--__proto__", "a"], says: "--__proto__" },
    { title: "a negated flag", argv: ["--no-json", "a"], says: "--no-json" },
    { title: "a missing value at the end", argv: ["a", "--output"], says: "--output FILE" },
    {
      title: "a missing value before a flag",
      argv: ["--output", "--json", "a"],
      says: "--output FILE",
    },
    {
      title: "a missing value before a short flag",
      argv: ["--output", "-f", "a"],
      says: "--output=-f",
    },
    { title: "an empty value", argv: ["--output=", "a"], says: "--output FILE" },
    {
      title: "an empty value in a word of its own",
      argv: ["--output", "", "a"],
      says: "--output FILE",
    },
    { title: "a value for a boolean", argv: ["--json=yes", "a"], says: "takes no value" },
    {
      title: "a second value for a single flag",
      argv: ["-o", "x", "--output", "y", "a"],
      says: "more than once",
    },
    { title: "a missing argument", argv: [], says: "IMAGE is missing" },
    { title: "an empty argument", argv: [""], says: "IMAGE is empty" },
    { title: "an empty argument among repeated ones", argv: ["a", "b", ""], says: "PATH is empty" },
  ])("refuses $title", ({ argv, says }) => {
    const error = refusal(...argv);
    expect(error.kind).toBe("invalid-argument");
    expect(error.message).toContain(says);
    expect(error.hint).toContain("sociable echo --help");
  });

  test.each([
    { title: "a size that is none", argv: ["--span-size", "4X"], says: "4X" },
    { title: "a size below the least", argv: ["--span-size", "0"], says: "at least 1" },
    { title: "a negative integer", argv: ["--jobs=-1"], says: "1 to 64" },
    { title: "an integer above the most", argv: ["--jobs", "65"], says: "1 to 64" },
    { title: "an integer with a fraction", argv: ["--jobs", "1.5"], says: "whole number" },
    {
      title: "an integer beyond 2^53-1",
      argv: ["--jobs", "99999999999999999999"],
      says: "whole number",
    },
    { title: "a duration without a unit", argv: ["--timeout", "30"], says: "unit" },
    { title: "a word that is no choice", argv: ["--compression", "lz4"], says: "gzip or zstd" },
  ])("refuses $title and names the flag", ({ argv, says }) => {
    const error = refusal(...argv, "alpine");
    expect(error).toMatchObject({ kind: "invalid-argument" });
    expect(error.message).toContain(argv[0]?.replace(/=.*/, "") ?? "");
    expect(String(error.cause)).toContain(says);
  });

  test("refuses a surplus argument", () => {
    const command = { ...echoCommand, args: echoCommand.args.slice(0, 1) };
    expect(() => parseCommandLine(["a", "b"], { command, path: "sociable echo" })).toThrow(
      expect.objectContaining({
        kind: "invalid-argument",
        message: expect.stringContaining('surplus argument "b"'),
      }),
    );
  });

  test.each([
    { typed: "--platfrom", nearest: "--platform" },
    { typed: "--spansize", nearest: "--span-size" },
    { typed: "--log-lvl", nearest: "--log-level" },
    { typed: "--comp", nearest: "--compression" },
    { typed: "-platform", nearest: "--platform" },
    { typed: "-F", nearest: "-f" },
  ])("names $nearest as the nearest flag to $typed", ({ typed, nearest }) => {
    expect(refusal(typed, "alpine").hint).toStartWith(`did you mean ${nearest}?`);
  });
});
