import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatPlatform, parsePlatform, platformRank } from "../../src/oci/platform.ts";

const HOST = { os: "linux", architecture: "amd64" };

describe("parsePlatform()", () => {
  test.each([
    { text: "linux/amd64", want: "linux/amd64" },
    { text: "linux/x86_64", want: "linux/amd64" },
    { text: "linux/aarch64", want: "linux/arm64" },
    { text: "linux/arm64/v8", want: "linux/arm64" },
    { text: "linux/arm", want: "linux/arm/v7" },
    { text: "linux/arm/6", want: "linux/arm/v6" },
    { text: "linux/armhf", want: "linux/arm/v7" },
    { text: "linux/armel", want: "linux/arm/v6" },
    { text: "Linux/AMD64/v1", want: "linux/amd64" },
    { text: "macos/arm64", want: "darwin/arm64" },
    { text: "arm64", want: "linux/arm64" },
    { text: "windows", want: "windows/amd64" },
    { text: "linux/i386", want: "linux/386" },
    { text: "linux/amd64/v3", want: "linux/amd64/v3" },
  ])("reads $text as $want", ({ text, want }) => {
    expect(formatPlatform(parsePlatform(text, HOST))).toBe(want);
  });

  test.each([
    { title: "nothing", text: "" },
    { title: "an empty part", text: "linux/" },
    { title: "four parts", text: "a/b/c/d" },
    { title: "a space", text: "linux/amd 64" },
  ])("refuses $title", ({ text }) => {
    expect(() => parsePlatform(text, HOST)).toThrow(
      expect.objectContaining({ kind: "invalid-argument" }),
    );
  });

  test("gives a form that it reads as itself", () => {
    const part = fc.stringMatching(/^[A-Za-z0-9_.-]{1,10}$/);
    fc.assert(
      fc.property(part, part, fc.option(part, { nil: undefined }), (os, arch, variant) => {
        const text = [os, arch, variant].filter((one) => one !== undefined).join("/");
        const once = formatPlatform(parsePlatform(text, HOST));
        expect(formatPlatform(parsePlatform(once, HOST))).toBe(once);
      }),
    );
  });
});

describe("platformRank()", () => {
  const rank = (wanted: string, candidate: string, strict = false): number | undefined =>
    platformRank(parsePlatform(wanted, HOST), parsePlatform(candidate, HOST), { strict });

  test.each([
    { wanted: "linux/amd64", better: "linux/amd64", worse: "linux/386" },
    { wanted: "linux/amd64/v3", better: "linux/amd64/v3", worse: "linux/amd64/v2" },
    { wanted: "linux/amd64/v3", better: "linux/amd64/v2", worse: "linux/amd64" },
    { wanted: "linux/arm64", better: "linux/arm64/v8", worse: "linux/arm/v7" },
    { wanted: "linux/arm/v7", better: "linux/arm/v7", worse: "linux/arm/v6" },
  ])("for $wanted prefers $better to $worse", ({ wanted, better, worse }) => {
    expect(rank(wanted, better)).toBeLessThan(rank(wanted, worse) ?? -1);
  });

  test.each([
    { wanted: "linux/amd64", other: "linux/arm64" },
    { wanted: "linux/amd64", other: "windows/amd64" },
    { wanted: "linux/amd64", other: "linux/amd64/v2" },
    { wanted: "linux/arm/v6", other: "linux/arm/v7" },
    { wanted: "linux/386", other: "linux/amd64" },
  ])("says that $other does not serve $wanted", ({ wanted, other }) => {
    expect(rank(wanted, other)).toBeUndefined();
  });

  test("takes only the very platform when strict", () => {
    expect(rank("linux/amd64", "linux/386", true)).toBeUndefined();
  });

  test("takes the very platform when strict, however it is spelled", () => {
    expect(
      platformRank(
        { os: "linux", architecture: "aarch64" },
        { os: "linux", architecture: "arm64", variant: "v8" },
        { strict: true },
      ),
    ).toBe(0);
  });
});
