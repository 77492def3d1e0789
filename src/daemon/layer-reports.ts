import type { LayerSize } from "../observability/metrics.ts";
import type { Digest } from "../oci/digest.ts";
import type { LayerReport } from "./daemon-api.ts";
import type { LayerStock } from "./layer-stock.ts";
import type { LazyLayers } from "./lazy-layers.ts";
import { localBytesOf } from "./local-bytes.ts";
import type { RememberedRefusals } from "./remembered-refusals.ts";

/** Who knows of layers. */
export interface LayerKnowledge {
  readonly stock: LayerStock;
  readonly stacks: Pick<LazyLayers, "stacksWith">;
  readonly refusals: RememberedRefusals;
}

const SNAPSHOT = /^\d+$/;

/** What the daemon knows of a layer, without a look at the registry. */
export function layerReportOf(
  digest: Digest,
  { stock, stacks, refusals }: LayerKnowledge,
): LayerReport {
  // Others that hold it are stacks that are shown and answers that were just given.
  const snapshots = stock.holdersOf(digest).filter((holder) => SNAPSHOT.test(holder)).length;
  // Images with indexes of their own may have it by several zTOCs. What is gone is not fetched to be told of.
  const local = [...stock.opened()]
    .filter(({ layer }) => layer.digest === digest)
    .map(({ layer }) => localBytesOf(layer));
  return {
    digest,
    snapshots,
    localBytes: local.reduce((sum, { localBytes }) => sum + localBytes, 0),
    totalBytes: local.reduce((sum, { totalBytes }) => sum + totalBytes, 0),
    mounts: stacks.stacksWith(digest),
    refusal: refusals.of(digest),
  };
}

/** Layers that are served, for metrics; `directory` is that of the mounts. */
export function* layerSizesOf(stock: LayerStock, directory: string): Generator<LayerSize> {
  for (const { layer, served, lease } of stock.opened()) {
    const { localBytes, totalBytes } = localBytesOf(layer);
    yield {
      digest: served.digest,
      mountpoint: `${directory}#${lease.number}`,
      size: totalBytes,
      fetchedSize: localBytes,
    };
  }
}
