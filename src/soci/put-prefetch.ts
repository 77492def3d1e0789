import type { WaitOptions } from "../async/wait-options.ts";
import type { Digest } from "../oci/digest.ts";
import { decodeZtoc } from "../ztoc/decode-ztoc.ts";
import type { ArtifactSink } from "./artifact-sink.ts";
import type { LayerPrefetch, LayerZtoc } from "./build-soci-index.ts";
import { encodePrefetch, type SpansOfFile } from "./encode-prefetch.ts";
import { cleanPath, matchFiles } from "./match-files.ts";

export interface PutPrefetchOptions extends WaitOptions {
  /** Bottom first. */
  readonly ztocs: readonly LayerZtoc[];
  /** Holds the zTOCs; takes the artifacts. */
  readonly sink: ArtifactSink;
}

export interface PutPrefetchResult {
  /** In the order of the zTOCs. */
  readonly prefetch: readonly LayerPrefetch[];
  /** Clean paths that no layer with a zTOC has. */
  readonly missingFiles: readonly string[];
}

/**
 * Makes and stores the prefetch artifacts for files of an image: each file is looked for from the topmost
 * layer down, in layers that have a zTOC, and the spans of the first one that has it are listed.
 */
export async function putPrefetch(
  files: readonly string[],
  { ztocs, sink, signal }: PutPrefetchOptions,
): Promise<PutPrefetchResult> {
  const wanted = new Set(
    files
      .map((file) => file.trim())
      .filter(Boolean)
      .map(cleanPath),
  );
  const ranges = new Map<Digest, readonly SpansOfFile[]>();
  for (const { digest, layer } of ztocs.toReversed()) {
    if (wanted.size === 0) break;
    // An image may hold the same layer twice.
    if (ranges.has(layer.digest)) continue;
    signal?.throwIfAborted();
    const found = matchFiles(decodeZtoc(await sink.readZtoc(digest)), wanted);
    ranges.set(layer.digest, [...found.values()]);
    for (const path of found.keys()) wanted.delete(path);
  }
  const prefetch: LayerPrefetch[] = [];
  for (const layer of new Set(ztocs.map((ztoc) => ztoc.layer.digest))) {
    const ofLayer = ranges.get(layer) ?? [];
    if (ofLayer.length === 0) continue;
    const { digest, size } = await sink.putPrefetch(encodePrefetch(ofLayer), { layer, signal });
    prefetch.push({ digest, size, layer });
  }
  return { prefetch, missingFiles: [...wanted] };
}
