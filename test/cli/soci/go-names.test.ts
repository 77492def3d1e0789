import { describe, expect, test } from "bun:test";
import { parseGoDigest } from "../../../src/cli/soci/go-digest.ts";
import { parseGoPlatform } from "../../../src/cli/soci/go-platform.ts";
import { failureOf } from "../../support/failure.ts";

const HEX = "0".repeat(64);

describe("parseGoDigest()", () => {
  test("takes a digest", () => {
    expect(String(parseGoDigest(`sha256:${HEX}`))).toBe(`sha256:${HEX}`);
  });

  test.each([
    { text: "", message: "invalid checksum digest format" },
    { text: "zzz", message: "invalid checksum digest format" },
    { text: "sha256:", message: "invalid checksum digest format" },
    { text: "sha256:12", message: "invalid checksum digest length" },
    { text: `sha256:${"G".repeat(64)}`, message: "invalid checksum digest format" },
    { text: `md5:${"0".repeat(32)}`, message: "unsupported digest algorithm" },
  ])("refuses $text as Go does", ({ text, message }) => {
    expect(failureOf(() => parseGoDigest(text))).toMatchObject({
      kind: "invalid-argument",
      message,
    });
  });
});

describe("parseGoPlatform()", () => {
  test.each([
    { text: "linux/arm64", platform: { os: "linux", architecture: "arm64" } },
    { text: "linux/arm64/v8", platform: { os: "linux", architecture: "arm64", variant: "v8" } },
    { text: "linux/arm", platform: { os: "linux", architecture: "arm" } },
  ])("keeps the spelling of $text", ({ text, platform }) => {
    expect(parseGoPlatform(text)).toEqual(platform);
  });

  test.each([
    {
      text: "a/b/c/d/e",
      message:
        '"d/e" is an invalid component of "a/b/c/d/e": platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument',
    },
    {
      text: "a/b/c/d",
      message: '"a/b/c/d": cannot parse platform specifier: invalid argument',
    },
    {
      text: "linux/",
      message:
        '"" is an invalid component of "linux/": platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument',
    },
  ])("refuses $text as containerd does", ({ text, message }) => {
    expect(failureOf(() => parseGoPlatform(text))).toMatchObject({
      kind: "invalid-argument",
      message,
    });
  });
});
