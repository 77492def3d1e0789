import { expect, test } from "bun:test";
import { isSamePlatform, parseSpelledPlatform } from "../../src/oci/spelled-platform.ts";

test.each([
  { text: "linux/arm64", platform: { os: "linux", architecture: "arm64" } },
  { text: "linux/arm64/v8", platform: { os: "linux", architecture: "arm64", variant: "v8" } },
  { text: "linux/aarch64", platform: { os: "linux", architecture: "arm64" } },
  { text: "linux/arm", platform: { os: "linux", architecture: "arm" } },
  { text: "linux/arm/v7", platform: { os: "linux", architecture: "arm", variant: "v7" } },
  { text: "linux/amd64", platform: { os: "linux", architecture: "amd64" } },
  { text: "linux/amd64/v3", platform: { os: "linux", architecture: "amd64", variant: "v3" } },
])("parseSpelledPlatform() reads $text as containerd does", ({ text, platform }) => {
  expect(parseSpelledPlatform(text)).toEqual(platform);
});

test.each([
  { one: "linux/arm64", other: "linux/arm64/v8", isSame: true },
  { one: "linux/arm", other: "linux/arm/v7", isSame: true },
  { one: "linux/arm/v6", other: "linux/arm/v7", isSame: false },
  { one: "linux/amd64", other: "linux/386", isSame: false },
])("isSamePlatform() of $one and $other is $isSame", ({ one, other, isSame }) => {
  expect(isSamePlatform(parseSpelledPlatform(one), parseSpelledPlatform(other))).toBe(isSame);
});
