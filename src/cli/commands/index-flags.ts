import {
  DEFAULT_MIN_LAYER_SIZE,
  type Optimization,
  parseOptimization,
} from "../../soci/layer-plan.ts";
import { DEFAULT_SPAN_SIZE } from "../../ztoc/ztoc.ts";
import type { FlagSpecs } from "../flag-spec.ts";

/** Of commands that build SOCI indexes. */
export const INDEX_FLAGS = {
  "span-size": {
    type: "bytes",
    default: DEFAULT_SPAN_SIZE,
    valueName: "SIZE",
    description:
      "Uncompressed bytes after which a new span starts at the next deflate block: what one read fetches at least",
  },
  "min-layer-size": {
    type: "bytes",
    default: DEFAULT_MIN_LAYER_SIZE,
    valueName: "SIZE",
    description: "Layers with fewer compressed bytes get no zTOC: they are fetched whole",
  },
  optimizations: {
    type: "string",
    multiple: true,
    valueName: "NAME",
    description:
      "xattr: mark layers without extended attributes, so that mounts need not ask; repeatable",
  },
  force: {
    type: "boolean",
    short: "f",
    description: "Build zTOCs anew that are in the local store already",
  },
  "prefetch-file": {
    type: "string",
    multiple: true,
    valueName: "PATH",
    description:
      "File of the image that mounts fetch before it is asked for, in its topmost layer; repeatable",
  },
  "prefetch-files-json": {
    type: "string",
    valueName: "FILE",
    description: "The same for a list: a JSON array of paths",
  },
} as const satisfies FlagSpecs;

/** @throws invalid-argument */
export function optimizationsOf(flags: {
  readonly optimizations: readonly string[];
}): readonly Optimization[] {
  return flags.optimizations
    .flatMap((text) => text.split(","))
    .map((text) => parseOptimization(text));
}
