import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type CompressionAlgorithm, DEFAULT_SPAN_SIZE } from "../ztoc/ztoc.ts";
import { PREFETCH_MEDIA_TYPE } from "./annotations.ts";

/** `xattr`: mark layers without extended attributes and opaque directories, so that mounts skip asking. */
export type Optimization = "xattr";

export const OPTIMIZATIONS: readonly Optimization[] = ["xattr"];

export const DEFAULT_MIN_LAYER_SIZE = 10_485_760;

export interface LayerPlanOptions {
  /** Layers of fewer bytes get no zTOC. */
  readonly minLayerSize?: number;
}

/** What is to be done with one layer of a manifest. */
export type LayerPlan = LayerBuild | LayerSkip;

export interface LayerBuild {
  readonly action: "build";
  readonly layer: Descriptor;
  readonly algorithm: CompressionAlgorithm;
}

export interface LayerSkip {
  readonly action: "skip";
  readonly layer: Descriptor;
  /** `prefetch`: not a layer but a prefetch artifact, passed over in silence. */
  readonly reason: "too-small" | "unsupported-compression" | "prefetch";
  /** The line that the Go tool prints; empty when it prints none. */
  readonly message: string;
}

/**
 * Decides, from a manifest alone, which layers get a zTOC, in their order, by the rules of the Go tool:
 * the size first, then the compression that the media type names.
 * @throws invalid-argument for a bad option; failed-precondition for a manifest with something that is
 * no layer, such as an artifact's
 */
export function planLayers(
  layers: readonly Descriptor[],
  { minLayerSize = DEFAULT_MIN_LAYER_SIZE }: LayerPlanOptions = {},
): readonly LayerPlan[] {
  checkMinLayerSize(minLayerSize);
  return layers.map((layer) => planLayer(layer, minLayerSize));
}

/** @throws invalid-argument unless it is 0 or more */
export function checkMinLayerSize(minLayerSize: number): void {
  if (!Number.isSafeInteger(minLayerSize) || minLayerSize < 0) {
    throw new SociError("invalid-argument", "min layer size must be >= 0");
  }
}

/** @throws invalid-argument unless it is 0 or more */
export function checkSpanSize(spanSize: number = DEFAULT_SPAN_SIZE): void {
  if (!Number.isSafeInteger(spanSize) || spanSize < 0) {
    throw new SociError("invalid-argument", "span size must be >= 0");
  }
}

/** @throws invalid-argument */
export function parseOptimization(text: string): Optimization {
  const known = OPTIMIZATIONS.find((optimization) => optimization === text);
  if (known === undefined) {
    throw new SociError(
      "invalid-argument",
      `optimization ${text} is not a valid optimization [${OPTIMIZATIONS.join(" ")}]`,
    );
  }
  return known;
}

function planLayer(layer: Descriptor, minLayerSize: number): LayerPlan {
  const { digest, mediaType, size } = layer;
  if (mediaType === PREFETCH_MEDIA_TYPE) {
    return { action: "skip", layer, reason: "prefetch", message: "" };
  }
  const compression = compressionOf(mediaType);
  if (compression === undefined) {
    throw new SociError(
      "failed-precondition",
      `Cannot index layer ${digest}: not a layer mediaType: ${JSON.stringify(mediaType.slice(0, 100))}`,
    );
  }
  const name = `ztoc skipped - layer ${digest} (${mediaType})`;
  if (size < minLayerSize) {
    const message = `${name} size ${size} is less than min-layer-size ${minLayerSize}`;
    return { action: "skip", layer, reason: "too-small", message };
  }
  const algorithm = algorithmOf(mediaType, compression);
  if (algorithm === undefined) {
    const message = `${name} is compressed in an unsupported format. expect: [tar, gzip, unknown] but got "${compression}"`;
    return { action: "skip", layer, reason: "unsupported-compression", message };
  }
  return { action: "build", layer, algorithm };
}

function algorithmOf(mediaType: string, compression: string): CompressionAlgorithm | undefined {
  if (compression === "gzip") return "gzip";
  // Docker's plain type may hide a compressed layer; the Go tool takes it for a tar, and so do we.
  if (compression === "unknown" || mediaType === OCI_TAR) return "uncompressed";
  return undefined;
}

const OCI_TAR = "application/vnd.oci.image.layer.v1.tar";
const OCI_NONDISTRIBUTABLE_TAR = "application/vnd.oci.image.layer.nondistributable.v1.tar";
const OCI_LAYER_PREFIX = "application/vnd.oci.image.layer.";

const DOCKER_LAYERS: ReadonlyMap<string, string> = new Map([
  ["application/vnd.docker.image.rootfs.diff.tar", "unknown"],
  ["application/vnd.docker.image.rootfs.foreign.diff.tar", "unknown"],
  ["application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"],
  ["application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "gzip"],
  ["application/vnd.docker.image.rootfs.diff.tar.zstd", "zstd"],
]);

/**
 * The compression that containerd reads from a layer's media type: "gzip", "zstd", "unknown" (Docker's
 * plain type: look at the bytes) or "" (none, or one that it does not know). `undefined`: no layer.
 */
function compressionOf(mediaType: string): string | undefined {
  const [base = "", ...suffixes] = mediaType.split("+");
  const docker = DOCKER_LAYERS.get(base);
  if (docker !== undefined) return suffixes.length > 0 ? "" : docker;
  if (!mediaType.startsWith(OCI_LAYER_PREFIX)) return undefined;
  if (base !== OCI_TAR && base !== OCI_NONDISTRIBUTABLE_TAR) return "";
  // Of several suffixes the last in the order of the alphabet, as in containerd: an encrypted gzip is gzip.
  const last = suffixes.sort().at(-1);
  return last === "gzip" || last === "zstd" ? last : "";
}
