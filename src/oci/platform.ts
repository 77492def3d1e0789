import { SociError } from "../errors.ts";
import type { Platform } from "./descriptor.ts";

const PART = /^[A-Za-z0-9_.-]+$/;
const KNOWN_OS = new Set(
  "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos".split(
    " ",
  ),
);

/**
 * Parses `os/arch[/variant]`, or one of `os` and `arch` alone (the host gives the other), in
 * containerd's normal form: `linux/aarch64` is `linux/arm64`. @throws invalid-argument
 */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const parts = text.split("/");
  const [first = "", second, third] = parts;
  if (parts.length > 3 || parts.some((part) => !PART.test(part))) {
    throw new SociError(
      "invalid-argument",
      `Cannot parse platform ${JSON.stringify(text.slice(0, 100))}: want os/arch[/variant]`,
      { hint: "For example linux/amd64 or linux/arm/v7" },
    );
  }
  if (second !== undefined) {
    return normalizePlatform({
      os: first,
      architecture: second,
      ...(third === undefined ? {} : { variant: third }),
    });
  }
  const os = normalOs(first);
  return KNOWN_OS.has(os)
    ? normalizePlatform({ os, architecture: host.architecture })
    : normalizePlatform({ os: host.os, architecture: first });
}

/** `os/arch[/variant]`. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== undefined && part !== "").join("/");
}

/** The platform that this program runs on. */
export function hostPlatform(): Platform {
  return normalizePlatform({
    os: process.platform === "win32" ? "windows" : process.platform,
    architecture: process.arch === "x64" ? "amd64" : process.arch,
  });
}

/** Spelling and implied variants as containerd has them. https://github.com/containerd/platforms/blob/v0.2.1/database.go */
export function normalizePlatform(platform: Platform): Platform {
  const { variant: _dropped, ...rest } = platform;
  const { architecture, variant } = normalArch(
    platform.architecture.toLowerCase(),
    (platform.variant ?? "").toLowerCase(),
  );
  return {
    ...rest,
    os: normalOs(platform.os),
    architecture,
    ...(variant === "" ? {} : { variant }),
  };
}

function normalOs(os: string): string {
  const lower = os.toLowerCase();
  return lower === "macos" ? "darwin" : lower;
}

function normalArch(
  architecture: string,
  variant: string,
): { readonly architecture: string; readonly variant: string } {
  switch (architecture) {
    case "i386":
      return { architecture: "386", variant: "" };
    case "x86_64":
    case "x86-64":
    case "amd64":
      return { architecture: "amd64", variant: variant === "v1" ? "" : variant };
    case "aarch64":
    case "arm64":
      return { architecture: "arm64", variant: variant === "8" || variant === "v8" ? "" : variant };
    case "armhf":
      return { architecture: "arm", variant: "v7" };
    case "armel":
      return { architecture: "arm", variant: "v6" };
    case "arm":
      return {
        architecture: "arm",
        variant: variant === "" ? "v7" : /^[5-8]$/.test(variant) ? `v${variant}` : variant,
      };
    default:
      return { architecture, variant };
  }
}

export interface MatchOptions {
  /** Only this very platform, none that it can also run. */
  readonly strict?: boolean;
}

/**
 * How well `candidate` serves `wanted`: 0 is best, greater is worse, `undefined` is not at all.
 * An arm64 host also runs arm, an amd64 host 386 and lower variants, as containerd's `Only` has it.
 */
export function platformRank(
  wanted: Platform,
  candidate: Platform,
  { strict = false }: MatchOptions = {},
): number | undefined {
  const normal = normalizePlatform(candidate);
  const accepted = strict ? [normalizePlatform(wanted)] : platformVector(normalizePlatform(wanted));
  const rank = accepted.findIndex((platform) => isSame(platform, normal));
  return rank < 0 ? undefined : rank;
}

function isSame(left: Platform, right: Platform): boolean {
  return (
    left.os === right.os &&
    left.architecture === right.architecture &&
    (left.variant ?? "") === (right.variant ?? "")
  );
}

// https://github.com/containerd/platforms/blob/v0.2.1/compare.go (platformVector)
function platformVector({ os, architecture, variant = "" }: Platform): Platform[] {
  const of = (arch: string, ...variants: readonly string[]): Platform[] =>
    variants.map((name) => ({ os, architecture: arch, ...(name === "" ? {} : { variant: name }) }));
  switch (architecture) {
    case "amd64":
      return [
        ...of("amd64", ...versionsDown(variant).filter((name) => name !== "v1"), ""),
        ...of("386", ""),
      ];
    case "arm":
      return of("arm", ...versionsDown(variant, 5));
    case "arm64": {
      const own = variant === "" || variant === "v8" ? [""] : [variant, ""];
      return [...of("arm64", ...own), ...of("arm", "v8", "v7", "v6", "v5")];
    }
    default:
      return of(architecture, variant);
  }
}

// "v3" down to "v2", as far as `lowest`; what is no plain version stands for itself.
function versionsDown(variant: string, lowest = 2): string[] {
  const version = /^v([0-9])$/.exec(variant)?.[1];
  if (version === undefined) {
    return variant === "" ? [] : [variant];
  }
  const names: string[] = [];
  for (let number = Number(version); number >= lowest; number--) {
    names.push(`v${number}`);
  }
  return names.length > 0 ? names : [variant];
}
