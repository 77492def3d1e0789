import type { Platform } from "./descriptor.ts";
import { hostPlatform, normalizePlatform, parsePlatform } from "./platform.ts";

/**
 * Parses a platform as containerd writes it into descriptors: `linux/arm64/v8` keeps its variant, which
 * parsePlatform() takes for implied, and `linux/arm` gets none.
 * https://github.com/containerd/platforms/blob/v0.2.1/platforms.go (Parse) @throws invalid-argument
 */
export function parseSpelledPlatform(text: string): Platform {
  const platform = parsePlatform(text);
  const parts = text.split("/").length;
  if (parts === 3 && platform.architecture === "arm64" && platform.variant === undefined) {
    return { ...platform, variant: "v8" };
  }
  if (parts === 2 && platform.architecture === "arm" && platform.variant === "v7") {
    const { variant: _implied, ...rest } = platform;
    return rest;
  }
  return platform;
}

/** This machine's platform, as containerd spells it where none is named. */
export function spelledHostPlatform(): Platform {
  const host = hostPlatform();
  return host.architecture === "arm64" && host.variant === undefined
    ? { ...host, variant: "v8" }
    : host;
}

/** Whether both mean the same platform, however they are spelled. */
export function isSamePlatform(left: Platform, right: Platform): boolean {
  const [one, other] = [normalizePlatform(left), normalizePlatform(right)];
  return (
    one.os === other.os &&
    one.architecture === other.architecture &&
    (one.variant ?? "") === (other.variant ?? "")
  );
}
