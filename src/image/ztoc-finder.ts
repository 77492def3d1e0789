import type { WaitOptions } from "../async/wait-options.ts";
import { isKind } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { ResolvedImage } from "../oci/resolve-image.ts";
import { ZTOC_MEDIA_TYPE } from "../soci/annotations.ts";
import {
  ALL_MODES,
  type DiscoveredIndex,
  type DiscoveryMiss,
  type DiscoveryModes,
  discoverSociIndex,
  type ExplicitIndex,
  type LocalIndexes,
} from "../soci/discover.ts";
import type { LocalStore } from "../soci/local-store.ts";
import { ztocReferences } from "../soci/soci-index.ts";
import { DEFAULT_SPAN_SIZE } from "../ztoc/ztoc.ts";
import type { RefusedLayer } from "./layer-outcome.ts";

export interface ZtocFinderOptions extends WaitOptions {
  readonly source: ImageSource;
  /** The SOCI index to use, whatever else there is. */
  readonly index?: ExplicitIndex | undefined;
  /** Where an index may be looked for when none was given; everywhere by default. */
  readonly modes?: DiscoveryModes | undefined;
  readonly store?: (LocalIndexes & Pick<LocalStore, "findZtoc">) | undefined;
  readonly log: Logger;
}

/** The index of an image, or why there is none: then what that means for its layers. */
export type IndexSearch =
  | { readonly kind: "found"; readonly found: DiscoveredIndex }
  | { readonly kind: "none"; readonly refusal: RefusedLayer };

/** Finds the zTOCs of one image's layers. Its SOCI index is looked for once, when it is first needed. */
export class ZtocFinder implements AsyncDisposable {
  readonly #options: ZtocFinderOptions;
  #search: Promise<IndexSearch> | undefined;
  #known: IndexSearch | undefined;

  constructor(options: ZtocFinderOptions) {
    this.#options = options;
  }

  /** Looks for the index, or joins who does. @throws what getting an explicit one throws */
  async search(image: ResolvedImage): Promise<IndexSearch> {
    this.#search ??= this.#discover(image);
    this.#known = await this.#search;
    return this.#known;
  }

  /** The index that was found; undefined: there is none, or nobody had to look. */
  async index(): Promise<DiscoveredIndex | undefined> {
    const search = await this.#search;
    return search?.kind === "found" ? search.found : undefined;
  }

  /** What is known by now of there being an index; undefined: nothing. */
  get hasIndex(): boolean | undefined {
    return this.#known === undefined ? undefined : this.#known.kind === "found";
  }

  /** zTOCs by the layers' digests: of the image's index, else such as were made here before. */
  async find(
    image: ResolvedImage,
    layers: readonly Descriptor[],
  ): Promise<ReadonlyMap<Digest, Descriptor>> {
    const ztocs = new Map<Digest, Descriptor>();
    if (layers.length === 0) return ztocs;
    const search = await this.search(image);
    const references = search.kind === "found" ? ztocReferences(search.found.index) : [];
    // The first when an index has several of a layer.
    const indexed = new Map(references.toReversed().map((one) => [one.layer, one.descriptor]));
    for (const { digest } of layers) {
      const ztoc = indexed.get(digest) ?? (await this.#localZtoc(digest));
      if (ztoc !== undefined) ztocs.set(digest, ztoc);
    }
    this.#options.log.debug("zTOCs found", { layers: layers.length, ztocs: ztocs.size });
    return ztocs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Whoever waited for it knows how it ended.
    await Promise.allSettled([this.#search]);
  }

  async #localZtoc(layer: Digest): Promise<Descriptor | undefined> {
    const { store, modes = ALL_MODES } = this.#options;
    if (!modes.local) return undefined;
    const found = await store?.findZtoc(layer, DEFAULT_SPAN_SIZE);
    if (found === undefined) return undefined;
    return { mediaType: ZTOC_MEDIA_TYPE, digest: found.digest, size: found.size };
  }

  async #discover({ descriptor, manifest }: ResolvedImage): Promise<IndexSearch> {
    const { source, index: explicit, modes = ALL_MODES, store, log, signal } = this.#options;
    if (explicit === undefined && !modes.v1 && !modes.v2 && !modes.local) {
      return none("modes-disabled", "Cannot serve the layer: all lazy pull modes are disabled");
    }
    const { annotations } = manifest;
    const { found, misses } = await discoverSociIndex({
      source,
      imageManifest: descriptor,
      annotations,
      explicit,
      store,
      modes,
      log,
      signal,
    });
    const failed = misses.filter(({ error }) => error !== undefined);
    for (const { from, reason } of failed) log.warn("no SOCI index", { from, reason });
    if (found !== undefined) return { kind: "found", found };
    const isUnknown = failed.some(({ error }) => !isKind(error, "data-loss", "unsupported"));
    return none(isUnknown ? "registry" : "no-index", `${NO_INDEX}: ${sentenceOf(misses)}`);
  }
}

const NO_INDEX = "Cannot serve the layer: no valid SOCI index found";

function none(reason: RefusedLayer["reason"], detail: string): IndexSearch {
  return { kind: "none", refusal: { kind: "refused", reason, detail } };
}

function sentenceOf(misses: readonly DiscoveryMiss[]): string {
  return misses.map(({ from, reason }) => `${from}: ${reason}`).join("; ");
}
