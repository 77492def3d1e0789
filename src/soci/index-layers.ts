import { mapConcurrent } from "../async/map-concurrent.ts";
import { SingleFlight } from "../async/single-flight.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { isKind } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { ImageManifest } from "../oci/manifest.ts";
import type { ZtocFactory } from "../ztoc/build-ztoc.ts";
import { decodeZtoc } from "../ztoc/decode-ztoc.ts";
import { ztocFault } from "../ztoc/ztoc-fault.ts";
import { DEFAULT_SPAN_SIZE, type Ztoc } from "../ztoc/ztoc.ts";
import { needsXattrs } from "../ztoc/needs-xattrs.ts";
import type { ArtifactSink } from "./artifact-sink.ts";
import type { LayerPrefetch, LayerZtoc } from "./build-soci-index.ts";
import type { LayerBuild, LayerPlan, Optimization } from "./layer-plan.ts";
import { checkSpanSize, planLayers } from "./layer-plan.ts";
import { LayerStream } from "./layer-stream.ts";
import { putPrefetch } from "./put-prefetch.ts";

export interface IndexLayersOptions extends WaitOptions {
  readonly source: Pick<ImageSource, "blob">;
  readonly sink: ArtifactSink;
  readonly buildZtoc: ZtocFactory;
  /** How many layers are read at once, at least 1. */
  readonly parallel: number;
  readonly spanSize?: number;
  readonly minLayerSize?: number;
  readonly optimizations?: readonly Optimization[];
  /** Builds zTOCs anew that are in the sink already. */
  readonly force?: boolean;
  /** Paths of files to fetch ahead; what mounts the image may do so. */
  readonly prefetchFiles?: readonly string[];
  readonly onLayer?: (outcome: LayerOutcome) => void;
  /** A layer's reading begins; what is returned is told of its bytes and its end. */
  readonly onRead?: (layer: Descriptor) => LayerProgress;
}

export interface LayerProgress {
  add(bytes: number): void;
  end(): void;
}

/** What became of one layer of an image. */
export type LayerOutcome = LayerIndexed | LayerNotIndexed;

export interface LayerIndexed {
  readonly status: "built" | "reused";
  readonly layer: Descriptor;
  readonly ztoc: LayerZtoc;
}

export interface LayerNotIndexed {
  readonly status: "skipped";
  readonly layer: Descriptor;
  readonly reason: "too-small" | "unsupported-compression" | "prefetch" | "refused" | "unusable";
  /** For people; empty where nothing need be said. */
  readonly message: string;
}

export interface IndexedLayers {
  /** In the order of the image's layers. */
  readonly layers: readonly LayerOutcome[];
  /** Of those that have one, in the same order. */
  readonly ztocs: readonly LayerZtoc[];
  /** In the same order. */
  readonly prefetch: readonly LayerPrefetch[];
  /** Files to fetch ahead that no layer with a zTOC has. */
  readonly missingFiles: readonly string[];
}

/**
 * Builds and stores a zTOC for each layer of a manifest that can have one, several layers at once, each
 * read once, and the prefetch artifacts for files that were asked for. A layer that cannot have a zTOC is
 * reported and left out; nothing partial is stored. @throws whatever the source and the sink throw
 */
export async function indexLayers(
  manifest: ImageManifest,
  options: IndexLayersOptions,
): Promise<IndexedLayers> {
  const { sink, parallel, prefetchFiles = [], signal, onLayer } = options;
  const { minLayerSize, spanSize } = options;
  checkSpanSize(spanSize);
  const plans = planLayers(manifest.layers, minLayerSize === undefined ? {} : { minLayerSize });
  // An image may hold the same layer twice: it is read once.
  const flights = new SingleFlight<Digest, LayerOutcome>();
  const known = new Map<Digest, LayerOutcome>();
  const layers = await mapConcurrent(
    plans,
    async (plan, inner) => {
      const outcome =
        known.get(plan.layer.digest) ??
        (await flights.run(
          plan.layer.digest,
          (shared) => layerOutcome(plan, { ...options, signal: shared }),
          { signal: inner },
        ));
      known.set(plan.layer.digest, outcome);
      onLayer?.(outcome);
      return outcome;
    },
    { limit: parallel, signal },
  );
  const ztocs = layers.flatMap((outcome) => (outcome.status === "skipped" ? [] : [outcome.ztoc]));
  const { prefetch, missingFiles } = await putPrefetch(prefetchFiles, { ztocs, sink, signal });
  return { layers, ztocs, prefetch, missingFiles };
}

async function layerOutcome(plan: LayerPlan, options: IndexLayersOptions): Promise<LayerOutcome> {
  const { layer } = plan;
  if (plan.action === "skip") {
    return { status: "skipped", layer, reason: plan.reason, message: plan.message };
  }
  return (await reusedZtoc(plan, options)) ?? (await builtZtoc(plan, options));
}

async function reusedZtoc(
  { layer }: LayerBuild,
  { sink, spanSize = DEFAULT_SPAN_SIZE, optimizations = [], force = false }: IndexLayersOptions,
): Promise<LayerIndexed | undefined> {
  if (force) return undefined;
  const found = await sink.findZtoc(layer.digest, spanSize);
  const known = found && (await readIfUsable(sink, found.digest, layer));
  if (found === undefined || known === undefined) return undefined;
  const { digest, size } = found;
  const disableXattrs = optimizations.includes("xattr") && !known.files.some(needsXattrs);
  return {
    status: "reused",
    layer,
    ztoc: { digest, size, layer, spanSize, disableXattrs },
  };
}

/** `ztoc create` also stores zTOCs that no reader can use; and disks rot. */
async function readIfUsable(
  sink: ArtifactSink,
  digest: Digest,
  layer: Descriptor,
): Promise<Ztoc | undefined> {
  try {
    const ztoc = decodeZtoc(await sink.readZtoc(digest));
    const isUsable = ztocFault(ztoc) === undefined && ztoc.compressedArchiveSize === layer.size;
    return isUsable ? ztoc : undefined;
  } catch (error) {
    if (isKind(error, "data-loss", "not-found")) return undefined;
    throw error;
  }
}

async function builtZtoc(
  { layer, algorithm }: LayerBuild,
  options: IndexLayersOptions,
): Promise<LayerOutcome> {
  const { source, sink, buildZtoc, onRead, signal } = options;
  const { spanSize = DEFAULT_SPAN_SIZE, optimizations = [] } = options;
  const progress = onRead?.(layer);
  const stream = new LayerStream(source.blob(layer, { signal }), (count) => progress?.add(count));
  let isBuilt = false;
  try {
    return await buildZtoc(stream, { algorithm, spanSize, signal }, async (ztoc) => {
      isBuilt = true;
      if (ztoc.unusable !== undefined) return notIndexed(layer, "unusable", ztoc.unusable);
      const { digest, size } = await sink.putZtoc(ztoc.chunks(), {
        layer: layer.digest,
        spanSize,
        size: ztoc.size,
        signal,
      });
      const disableXattrs = optimizations.includes("xattr") && !ztoc.needsXattrs;
      const indexed = { digest, size, layer, spanSize, disableXattrs };
      return { status: "built", layer, ztoc: indexed } as const;
    });
  } catch (error) {
    if (isBuilt || !isKind(error, "data-loss", "unsupported")) throw error;
    await stream.drain();
    return notIndexed(layer, "refused", error.message);
  } finally {
    await stream.close();
    progress?.end();
  }
}

function notIndexed(
  layer: Descriptor,
  reason: "refused" | "unusable",
  why: string,
): LayerNotIndexed {
  const message = `ztoc skipped - layer ${layer.digest} (${layer.mediaType}): ${why}`;
  return { status: "skipped", layer, reason, message };
}
