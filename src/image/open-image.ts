import { mapConcurrent } from "../async/map-concurrent.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor, Platform } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { hostPlatform } from "../oci/platform.ts";
import type { ResolvedImage } from "../oci/resolve-image.ts";
import { resolveImage } from "../oci/resolve-image.ts";
import type { DiscoveredIndex, ExplicitIndex, LocalIndexes } from "../soci/discover.ts";
import { discoverSociIndex } from "../soci/discover.ts";
import { ztocOfLayer } from "../soci/soci-index.ts";
import type { FileTree } from "../tree/file-tree.ts";
import type { LayerTree } from "../tree/layer-node.ts";
import { buildLayerTree } from "../tree/layer-tree.ts";
import { mergeLayers } from "../tree/merge-layers.ts";
import type { ZtocFactory } from "../ztoc/build-ztoc.ts";
import type { LayerView } from "./layer-view.ts";
import type { LocalZtocs } from "./open-layer.ts";
import { fetchZtoc } from "./open-layer.ts";
import { streamLayer } from "./stream-layer.ts";

export interface OpenImageOptions extends WaitOptions {
  readonly source: ImageSource;
  /** Of an image index; by default this machine's. */
  readonly platform?: Platform | undefined;
  /** The SOCI index to use, whatever else there is. */
  readonly index?: ExplicitIndex | undefined;
  readonly store?: (LocalIndexes & LocalZtocs) | undefined;
  /** For layers without a zTOC. */
  readonly buildZtoc: ZtocFactory;
  readonly engine: () => InflateEngine;
  readonly log: Logger;
  /** The layers that have no zTOC and are about to be read whole. */
  readonly onStreamed?: (layers: readonly Descriptor[], isIndexed: boolean) => void;
  readonly onBytes?: (count: number) => void;
}

/** An image whose files are known: what they are, and where their bytes lie. */
export interface OpenedImage {
  readonly image: ResolvedImage;
  /** Undefined: it has none that can be used. */
  readonly index: DiscoveredIndex | undefined;
  /** Bottom first. */
  readonly layers: readonly LayerView[];
  readonly tree: FileTree;
}

/** Requests for zTOCs and layers under way at once. */
const PARALLEL = 8;

/** Opens one platform of an image: manifest, SOCI index, zTOCs, merged tree. @throws not-found, data-loss, unavailable … */
export async function openImage(options: OpenImageOptions): Promise<OpenedImage> {
  const { source, store, index: explicit, signal } = options;
  const { platform = hostPlatform() } = options;
  const image = await resolveImage(source, { platform, signal });
  const { found, misses } = await discoverSociIndex({
    source,
    imageManifest: image.descriptor,
    annotations: image.manifest.annotations,
    explicit,
    store,
    signal,
  });
  for (const { from, reason, error } of misses) {
    options.log[error === undefined ? "debug" : "warn"]("no SOCI index", { from, reason });
  }
  const layers = await openLayers(image, found, options);
  const tree = mergeLayers(layers.map((layer) => layer.tree));
  return { image, index: found, layers: layers.map(({ view }) => view), tree };
}

interface OpenedLayer {
  readonly view: LayerView;
  readonly tree: LayerTree;
}

async function openLayers(
  { manifest }: ResolvedImage,
  found: DiscoveredIndex | undefined,
  options: OpenImageOptions,
): Promise<OpenedLayer[]> {
  const { signal, onStreamed } = options;
  const { layers } = manifest;
  const ztocs = layers.map(({ digest }) =>
    found === undefined ? undefined : ztocOfLayer(found.index, digest)?.descriptor,
  );
  const unindexed = layers.filter((_, i) => ztocs[i] === undefined);
  if (unindexed.length > 0) onStreamed?.(unindexed, found !== undefined);
  return await mapConcurrent(
    layers,
    async (layer, inner, i): Promise<OpenedLayer> => {
      const view = await viewLayer(layer, ztocs[i], { ...options, signal: inner });
      // While other layers are still on their way.
      return { view, tree: buildLayerTree(view.files, { name: layer.digest }) };
    },
    { limit: PARALLEL, signal },
  );
}

async function viewLayer(
  layer: Descriptor,
  descriptor: Descriptor | undefined,
  options: OpenImageOptions,
): Promise<LayerView> {
  const ztoc = descriptor === undefined ? undefined : await fetchZtoc(layer, descriptor, options);
  if (ztoc === undefined) return await streamLayer(layer, options);
  const { files } = ztoc;
  return { descriptor: layer, files, ztoc, pieces: undefined, sparse: new Map(), from: "index" };
}
