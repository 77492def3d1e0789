import { fstatSync, ftruncateSync } from "node:fs";
import type { LayerFiles } from "./layer-files.ts";

/**
 * Gives a data file that somebody has cut its size back, so that what is written next is not the end
 * of it. What was lost reads as zeros then, which its CRCs tell from data.
 */
export function restoreDataSize({
  dataFd,
  geometry,
}: Pick<LayerFiles, "dataFd" | "geometry">): void {
  if (fstatSync(dataFd).size !== geometry.dataSize) ftruncateSync(dataFd, geometry.dataSize);
}
