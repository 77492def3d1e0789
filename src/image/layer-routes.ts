import type { WaitOptions } from "../async/wait-options.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ResolvedImage } from "../oci/resolve-image.ts";
import { type RefusedLayer, refusalOf } from "./layer-outcome.ts";
import type { ImagePreparationOptions } from "./preparation-options.ts";
import type { IndexSearch, ZtocFinder } from "./ztoc-finder.ts";

/** How a layer that is not in the cache gets there: by its zTOC, whole, or not at all. */
export type LayerRoute =
  { readonly kind: "ztoc"; readonly ztoc: Descriptor } | { readonly kind: "stream" } | RefusedLayer;

export interface RouteOptions
  extends
    WaitOptions,
    Pick<
      ImagePreparationOptions,
      "wholeOnly" | "onMissingIndex" | "outsideIndex" | "minLayerSize"
    > {
  readonly finder: ZtocFinder;
}

const STREAM: LayerRoute = { kind: "stream" };

/** Finds out the way of each layer, which the result tells. A failure to find out is a refusal, too. */
export async function routesOf(
  image: ResolvedImage,
  layers: readonly Descriptor[],
  options: RouteOptions,
): Promise<(layer: Descriptor) => LayerRoute> {
  const { finder, wholeOnly = false, minLayerSize = 0, signal } = options;
  const { onMissingIndex, outsideIndex } = options;
  if (wholeOnly) return () => STREAM;
  try {
    const search = await finder.search(image);
    const refusal = refusalFor(search, onMissingIndex);
    if (refusal !== undefined) return () => refusal;
    const ztocs = await finder.find(
      image,
      layers.filter(({ size }) => size >= minLayerSize),
    );
    const mayStream = outsideIndex !== "refuse" || search.kind === "none";
    return ({ digest, size }) => {
      if (size < minLayerSize) return STREAM;
      const ztoc = ztocs.get(digest);
      if (ztoc !== undefined) return { kind: "ztoc", ztoc };
      return mayStream ? STREAM : noZtoc(`Cannot serve layer ${digest}: no zTOC in the SOCI index`);
    };
  } catch (error) {
    signal?.throwIfAborted();
    const refusal = refusalOf(error);
    // No disk has been touched.
    const reason = refusal.reason === "no-room" ? "registry" : refusal.reason;
    return () => ({ ...refusal, reason });
  }
}

/** A layer that the index is of no help for, and that may not be read whole. */
export function noZtoc(detail: string): RefusedLayer {
  return { kind: "refused", reason: "no-ztoc", detail };
}

function refusalFor(
  search: IndexSearch,
  onMissingIndex: RouteOptions["onMissingIndex"],
): RefusedLayer | undefined {
  if (search.kind === "found") return undefined;
  const { refusal } = search;
  return onMissingIndex === "refuse" || refusal.reason === "modes-disabled" ? refusal : undefined;
}
