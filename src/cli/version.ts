import packageJson from "../../package.json" with { type: "json" };

// Put in by scripts/build.ts; there is no such global when run from source.
declare const SOCIABLE_COMMIT: string | undefined;

export const VERSION_INFO = {
  version: packageJson.version,
  /** `unknown` when run from source or built outside git. */
  commit: typeof SOCIABLE_COMMIT === "string" ? SOCIABLE_COMMIT : "unknown",
  bun: Bun.version,
} as const;

/** `sociable 0.1.0 (<commit>, Bun 1.4.5)` */
export function versionText(): string {
  return `sociable ${VERSION_INFO.version} (${VERSION_INFO.commit}, Bun ${VERSION_INFO.bun})`;
}
