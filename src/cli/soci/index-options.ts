import { SociError } from "../../errors.ts";
import type { Platform } from "../../oci/descriptor.ts";
import { type Optimization, parseOptimization } from "../../soci/layer-plan.ts";
import type { GoFlagValues } from "./go-flags.ts";
import { parseGoPlatform } from "./go-platform.ts";
import { sociPrefetchFiles } from "./soci-prefetch-files.ts";

/** How indexes are to be built. */
export interface IndexOptions {
  readonly spanSize: number;
  readonly minLayerSize: number;
  readonly optimizations: readonly Optimization[];
  readonly force: boolean;
  readonly prefetchFiles: readonly string[];
}

/** @throws invalid-argument, in the Go tool's words */
export async function indexOptionsOf(flags: GoFlagValues, cwd: string): Promise<IndexOptions> {
  const optimizations = flags.list("optimizations").map((text) => parseOptimization(text));
  return {
    optimizations,
    spanSize: sizeOf(flags.integer("span-size"), "span size"),
    minLayerSize: sizeOf(flags.integer("min-layer-size"), "min layer size"),
    force: flags.bool("force"),
    prefetchFiles: await sociPrefetchFiles(flags, cwd),
  };
}

/** Which platforms; `undefined` when nothing is said. @throws invalid-argument, in the Go tool's words */
export function sociPlatformsOf(flags: GoFlagValues): readonly Platform[] | "all" | undefined {
  if (flags.bool("all-platforms")) return "all";
  const names = flags.list("platform");
  return names.length === 0 ? undefined : names.map(parsed);
}

function parsed(text: string): Platform {
  try {
    return parseGoPlatform(text);
  } catch (cause) {
    if (!(cause instanceof SociError)) throw cause;
    throw new SociError(cause.kind, `could not parse platform ${text}: ${cause.message}`, {
      cause,
    });
  }
}

function sizeOf(value: bigint, what: string): number {
  if (value < 0n) throw new SociError("invalid-argument", `${what} must be >= 0`);
  // Beyond any layer: the same as the largest number there is.
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}
