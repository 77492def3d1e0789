import type { WaitOptions } from "../async/wait-options.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { ResolvedImage } from "../oci/resolve-image.ts";
import { ZTOC_MEDIA_TYPE } from "../soci/annotations.ts";
import {
  type DiscoveredIndex,
  discoverSociIndex,
  type ExplicitIndex,
  type LocalIndexes,
} from "../soci/discover.ts";
import type { LocalStore } from "../soci/local-store.ts";
import { ztocOfLayer } from "../soci/soci-index.ts";
import { DEFAULT_SPAN_SIZE } from "../ztoc/ztoc.ts";

export interface ZtocFinderOptions extends WaitOptions {
  readonly source: ImageSource;
  /** The SOCI index to use, whatever else there is. */
  readonly index?: ExplicitIndex | undefined;
  readonly store?: (LocalIndexes & Pick<LocalStore, "findZtoc">) | undefined;
  readonly log: Logger;
}

/** Finds the zTOCs of one image's layers. Its SOCI index is looked for once, when it is first needed. */
export class ZtocFinder implements AsyncDisposable {
  readonly #options: ZtocFinderOptions;
  #discovery: Promise<DiscoveredIndex | undefined> | undefined;

  constructor(options: ZtocFinderOptions) {
    this.#options = options;
  }

  /** The index that was found; undefined: there is none, or nobody had to look. */
  async index(): Promise<DiscoveredIndex | undefined> {
    return await this.#discovery;
  }

  /** zTOCs by the layers' digests: of the image's index, else such as were made here before. */
  async find(
    image: ResolvedImage,
    layers: readonly Descriptor[],
  ): Promise<ReadonlyMap<Digest, Descriptor>> {
    const ztocs = new Map<Digest, Descriptor>();
    if (layers.length === 0) return ztocs;
    this.#discovery ??= this.#discover(image);
    const found = await this.#discovery;
    for (const { digest } of layers) {
      const indexed = found === undefined ? undefined : ztocOfLayer(found.index, digest);
      const ztoc = indexed?.descriptor ?? (await this.#localZtoc(digest));
      if (ztoc !== undefined) ztocs.set(digest, ztoc);
    }
    this.#options.log.debug("zTOCs found", { layers: layers.length, ztocs: ztocs.size });
    return ztocs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Whoever waited for it knows how it ended.
    await Promise.allSettled([this.#discovery]);
  }

  async #localZtoc(layer: Digest): Promise<Descriptor | undefined> {
    const found = await this.#options.store?.findZtoc(layer, DEFAULT_SPAN_SIZE);
    if (found === undefined) return undefined;
    return { mediaType: ZTOC_MEDIA_TYPE, digest: found.digest, size: found.size };
  }

  async #discover({ descriptor, manifest }: ResolvedImage): Promise<DiscoveredIndex | undefined> {
    const { source, index: explicit, store, log, signal } = this.#options;
    const { annotations } = manifest;
    const { found, misses } = await discoverSociIndex({
      source,
      imageManifest: descriptor,
      annotations,
      explicit,
      store,
      signal,
    });
    for (const { from, reason, error } of misses) {
      log[error === undefined ? "debug" : "warn"]("no SOCI index", { from, reason });
    }
    return found;
  }
}
