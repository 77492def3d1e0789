import { describe, expect, test } from "bun:test";
import { type GoFlag, GoUsageError, parseGoFlags } from "../../../src/cli/soci/go-flags.ts";
import { failureOf } from "../../support/failure.ts";

const FLAGS: readonly GoFlag[] = [
  { names: ["address", "a"], type: "text", usage: "", env: "ADDRESS", default: "/run/x.sock" },
  { names: ["force", "f"], type: "bool", usage: "" },
  { names: ["platform", "p"], type: "list", usage: "", env: "PLATFORMS" },
  { names: ["span-size"], type: "int", usage: "", default: "4194304" },
  { names: ["uploads"], type: "uint", usage: "" },
  { names: ["timeout"], type: "duration", usage: "" },
];

const parse = (
  argv: readonly string[],
  { env = {}, stopsAtWord = false }: { env?: Record<string, string>; stopsAtWord?: boolean } = {},
) => parseGoFlags(argv, { flags: FLAGS, env, stopsAtWord });

describe("parseGoFlags()", () => {
  test.each([
    { title: "two dashes", argv: ["--span-size", "7"] },
    { title: "one dash", argv: ["-span-size", "7"] },
    { title: "an equals sign", argv: ["--span-size=7"] },
    { title: "a plus sign", argv: ["--span-size", "+7"] },
    { title: "the last of several", argv: ["--span-size", "1", "--span-size", "7"] },
    { title: "behind a word", argv: ["image", "--span-size", "7"] },
  ])("takes a value with $title", ({ argv }) => {
    expect(parse(argv).values.integer("span-size")).toBe(7n);
  });

  test("takes a value that looks like a flag", () => {
    expect(parse(["--span-size", "-1"]).values.integer("span-size")).toBe(-1n);
  });

  test("gives the defaults where nothing is said", () => {
    const { values, words } = parse([]);
    expect(words).toEqual([]);
    expect(values.text("address")).toBe("/run/x.sock");
    expect(values.bool("force")).toBe(false);
    expect(values.list("platform")).toEqual([]);
    expect(values.integer("span-size")).toBe(4_194_304n);
    expect(values.integer("uploads")).toBe(0n);
    expect(values.milliseconds("timeout")).toBe(0);
  });

  test("splits repeated flags at their commas", () => {
    const { values } = parse(["-p", "linux/amd64, linux/arm64", "--platform=", "-p", "x"]);
    expect(values.list("platform")).toEqual(["linux/amd64", "linux/arm64", "", "x"]);
  });

  test("takes the environment where the command line says nothing", () => {
    const env = { ADDRESS: "/env.sock", PLATFORMS: "a,b" };
    expect(parse([], { env }).values.text("address")).toBe("/env.sock");
    expect(parse([], { env }).values.list("platform")).toEqual(["a", "b"]);
    expect(parse(["-a", "/c.sock", "-p", "c"], { env }).values.text("address")).toBe("/c.sock");
    expect(parse(["-p", "c"], { env }).values.list("platform")).toEqual(["c"]);
  });

  test.each([
    { argv: ["--force"], force: true },
    { argv: ["-f"], force: true },
    { argv: ["--force=false"], force: false },
    { argv: ["--force=T"], force: true },
  ])("$argv is $force", ({ argv, force }) => {
    expect(parse(argv).values.bool("force")).toBe(force);
  });

  test("stops at the first word where that is a command's name", () => {
    const { words } = parse(["--force", "index", "--nope"], { stopsAtWord: true });
    expect(words).toEqual(["index", "--nope"]);
  });

  test("takes what follows -- as words", () => {
    expect(parse(["a", "--", "--force", "-"]).words).toEqual(["a", "--force", "-"]);
  });

  test.each([
    { argv: ["--timeout", "1m30s"], ms: 90_000 },
    { argv: ["--timeout", "1.5s"], ms: 1500 },
    { argv: ["--timeout", "0"], ms: 0 },
    { argv: ["--timeout", "-1s"], ms: -1000 },
  ])("$argv are $ms ms", ({ argv, ms }) => {
    expect(parse(argv).values.milliseconds("timeout")).toBe(ms);
  });

  test.each([
    { argv: ["--nope"], message: "flag provided but not defined: -nope" },
    { argv: ["--span-size"], message: "flag needs an argument: --span-size" },
    {
      argv: ["--span-size", "abc"],
      message:
        'invalid value "abc" for flag -span-size: strconv.ParseInt: parsing "abc": invalid syntax',
    },
    {
      argv: ["--span-size=9223372036854775808"],
      message:
        'invalid value "9223372036854775808" for flag -span-size: strconv.ParseInt: parsing "9223372036854775808": value out of range',
    },
    {
      argv: ["--uploads", "-1"],
      message:
        'invalid value "-1" for flag -uploads: strconv.ParseUint: parsing "-1": invalid syntax',
    },
    {
      argv: ["--timeout", "abc"],
      message: 'invalid value "abc" for flag -timeout: time: invalid duration "abc"',
    },
    {
      argv: ["--timeout", "5"],
      message: 'invalid value "5" for flag -timeout: time: missing unit in duration "5"',
    },
    { argv: ["--force=maybe"], message: 'invalid value "maybe" for flag -force: parse error' },
  ])("refuses $argv as Go does", ({ argv, message }) => {
    const error = failureOf(() => parse(argv));
    expect(error).toBeInstanceOf(GoUsageError);
    expect(error).toHaveProperty("message", message);
  });
});
