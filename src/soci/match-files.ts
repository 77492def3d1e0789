import { posix } from "node:path";
import type { FileMetadata } from "../ztoc/file-metadata.ts";
import type { Ztoc } from "../ztoc/ztoc.ts";
import type { SpansOfFile } from "./encode-prefetch.ts";

/** A path as layers are searched for it: from the root, without `.`, `..` and slashes at either end. */
export function cleanPath(path: string): string {
  return posix.normalize(`/${path}`).replace(/^\/+|\/+$/g, "");
}

/**
 * The spans of those files that a layer has, by their clean paths; `./x` and `/x` in a layer are `x`. Links
 * are found as the entries they are, directories never. Of several entries of a name the last counts.
 */
export function matchFiles(
  ztoc: Pick<Ztoc, "files" | "zinfo">,
  wanted: ReadonlySet<string>,
): ReadonlyMap<string, SpansOfFile> {
  const found = new Map<string, SpansOfFile>();
  for (const file of ztoc.files) {
    if (file.type === "dir") continue;
    const path = pathOf(file);
    if (wanted.has(path)) found.set(path, spansOf(ztoc, file));
  }
  return found;
}

const NEEDS_CLEANING = /^\.?\/|\/\/|\/\.\.?\/|\/$/;

function pathOf({ name }: FileMetadata): string {
  const text = Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString();
  return NEEDS_CLEANING.test(text) ? cleanPath(text) : text;
}

function spansOf(
  { zinfo }: Pick<Ztoc, "zinfo">,
  { uncompressedOffset: start, uncompressedSize: size }: FileMetadata,
): SpansOfFile {
  return { startSpan: zinfo.spanOf(start), endSpan: zinfo.spanOf(start + Math.max(size, 1) - 1) };
}
