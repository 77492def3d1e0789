import { mapConcurrent } from "../async/map-concurrent.ts";
import { keyByZtoc, type LayerKey, layerOfKey, ztocOfKey } from "../cache/layer-key.ts";
import { isKind } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ResolvedImage } from "../oci/resolve-image.ts";
import { EarlyMerge } from "./early-merge.ts";
import type { HeldLayer, HeldLayers } from "./held-layers.ts";
import { distinctLayers } from "./image-layers.ts";
import { LayerAdder } from "./layer-adder.ts";
import { failureOf, type RefusedLayer, refusalOf } from "./layer-outcome.ts";
import { type LayerRoute, routesOf } from "./layer-routes.ts";
import type { ManifestMemory } from "./manifest-memory.ts";
import type { ImagePreparationOptions } from "./preparation-options.ts";
import { openTree, treePathOf } from "./prepared-tree.ts";
import type { TableBuilder } from "./table-builder.ts";
import type { ZtocFinder } from "./ztoc-finder.ts";
import type { ZtocMemory, ZtocsByLayer } from "./ztoc-memory.ts";

/** What has become of a layer: it is held open, or not served. */
export type LayerState = { readonly kind: "held"; readonly held: HeldLayer } | RefusedLayer;

export interface LayerWork {
  readonly descriptor: Descriptor;
  /** Rejects only with the reason of a stop. */
  readonly state: Promise<LayerState>;
  /** Settles when the layer waits for no zTOC any more. */
  readonly ztocPassed: Promise<unknown>;
}

export interface ImageWorkOptions extends Omit<ImagePreparationOptions, "manifests"> {
  readonly held: HeldLayers;
  readonly tables: TableBuilder;
  readonly finder: ZtocFinder;
  readonly manifests: ManifestMemory;
  readonly ztocs: ZtocMemory;
  /** Stops all of it. */
  readonly signal: AbortSignal;
}

/** Layers opened at once. */
const PARALLEL = 64;

/** The layers of an image whose manifest is known, all of them on their way. Disposing waits for them, and stops nothing. */
export class ImageWork implements AsyncDisposable {
  readonly image: ResolvedImage;
  /** The lowest first. */
  readonly chain: readonly Digest[];
  /** All layers are held, their tree is on disk, the manifest is remembered. Rejects when one is not served. */
  readonly whole: Promise<void>;
  readonly #options: ImageWorkOptions;
  readonly #layers: ReadonlyMap<Digest, LayerWork>;
  readonly #adder: LayerAdder | undefined;
  /** Names in the cache of layers that are held, or are being added. */
  readonly #keys = new Map<Digest, LayerKey>();
  readonly #ztocsKept: Promise<void>;

  private constructor(image: ResolvedImage, isReady: boolean, options: ImageWorkOptions) {
    const { cache, held, tables, signal } = options;
    this.#options = options;
    this.image = image;
    this.chain = image.manifest.layers.map(({ digest }) => digest);
    const distinct = distinctLayers(image.manifest.layers);
    for (const { layer } of held.layers()) this.#keys.set(layer.digest, layer.key);
    if (isReady) {
      this.#layers = new Map(distinct.map((layer) => [layer.digest, this.#heldLayer(layer)]));
      this.#ztocsKept = this.#keepZtocs();
      this.whole = this.#remember();
    } else {
      const merge = async (): Promise<void> => {
        const { keys } = this;
        await tables.merge(keys, treePathOf(cache.root, keys), { signal });
      };
      const merging = new EarlyMerge(distinct.length, merge);
      this.#adder = new LayerAdder({
        ...options,
        image,
        merging,
        onKey: (key) => this.#keys.set(layerOfKey(key), key),
        hasIndex: () => options.finder.hasIndex ?? false,
      });
      this.#layers = this.#addAll(distinct, this.#adder);
      this.#ztocsKept = this.#keepZtocs();
      this.whole = this.#finish(merging);
    }
    // Whoever wants all of the image is told.
    this.whole.catch(() => undefined);
    this.#ztocsKept.catch(() => undefined);
  }

  /** Opens what is in the cache, and begins to add the rest. */
  static async begin(image: ResolvedImage, options: ImageWorkOptions): Promise<ImageWork> {
    const { cache, held, ztocs, wholeOnly = false, log, signal } = options;
    const { layers } = image.manifest;
    const distinct = distinctLayers(layers);
    const known = wholeOnly ? new Map() : ztocs.read(image.descriptor.digest);
    await mapConcurrent(
      distinct,
      ({ digest }, inner) => held.openIfThere(keysFor(digest, known), { signal: inner }),
      { limit: PARALLEL, signal },
    );
    const chain = layers.map(({ digest }) => held.find(digest)?.layer.key);
    const isAllThere = chain.every((key) => key !== undefined);
    using tree = isAllThere ? openTree(cache.root, chain) : undefined;
    const isReady = tree !== undefined;
    log.debug("image resolved", { layers: layers.length, cached: held.size, isReady });
    return new ImageWork(image, isReady, options);
  }

  /** Of all layers, the lowest first: how they are named in the cache. Known when all are held. */
  get keys(): readonly LayerKey[] {
    return this.chain.map((digest) => {
      const key = this.#keys.get(digest);
      if (key === undefined) throw new Error(`layer ${digest} is not being added`);
      return key;
    });
  }

  find(layer: Digest): LayerWork | undefined {
    return this.#layers.get(layer);
  }

  /** What the layers' uncompressed bytes must be; undefined while nobody had to ask. */
  async diffIds(): Promise<ReadonlyMap<Digest, Digest> | undefined> {
    return await this.#adder?.diffIds();
  }

  /** Waits until no layer waits for its zTOC any more. */
  async ztocsPassed(): Promise<void> {
    await Promise.all([...this.#layers.values()].map(({ ztocPassed }) => ztocPassed));
  }

  /** Resolves when nothing of it goes on, however it ended. */
  async settled(): Promise<void> {
    const states = [...this.#layers.values()].map(({ state }) => state);
    await Promise.allSettled([this.whole, this.#ztocsKept, ...states]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settled();
    await this.#adder?.[Symbol.asyncDispose]();
  }

  #heldLayer(descriptor: Descriptor): LayerWork {
    const held = this.#options.held.get(descriptor.digest);
    const state = Promise.resolve({ kind: "held", held } as const);
    return { descriptor, state, ztocPassed: state };
  }

  #addAll(distinct: readonly Descriptor[], adder: LayerAdder): ReadonlyMap<Digest, LayerWork> {
    const { held } = this.#options;
    const missing = new Set(distinct.filter(({ digest }) => !held.has(digest)));
    const ways = missing.size === 0 ? undefined : this.#waysOf([...missing], adder);
    const routeOf = async (layer: Descriptor): Promise<LayerRoute> => {
      // What was there and is looked up all the same is damaged.
      const find = ways !== undefined && missing.has(layer) ? ways : this.#routes([layer]);
      return (await find)(layer);
    };
    return new Map(distinct.map((layer) => [layer.digest, this.#add(layer, adder, routeOf)]));
  }

  async #waysOf(missing: readonly Descriptor[], adder: LayerAdder) {
    const routeOf = await this.#routes(missing);
    adder.tellStreamed(missing.filter((layer) => routeOf(layer).kind === "stream"));
    return routeOf;
  }

  async #routes(layers: readonly Descriptor[]) {
    return await routesOf(this.image, layers, this.#options);
  }

  #add(
    descriptor: Descriptor,
    adder: LayerAdder,
    routeOf: (layer: Descriptor) => Promise<LayerRoute>,
  ): LayerWork {
    const { held, signal } = this.#options;
    const passed = Promise.withResolvers<void>();
    const add = async (): Promise<LayerState> => {
      try {
        const refused = await adder.add(descriptor, {
          route: () => routeOf(descriptor),
          onZtocPassed: passed.resolve,
          signal,
        });
        if (refused === undefined) return { kind: "held", held: held.get(descriptor.digest) };
        return this.#refuse(descriptor.digest, refused);
      } catch (error) {
        signal.throwIfAborted();
        return this.#refuse(descriptor.digest, refusalOf(error));
      } finally {
        passed.resolve();
      }
    };
    const state = add();
    // Whoever waits for it is told.
    state.catch(() => undefined);
    return { descriptor, state, ztocPassed: passed.promise };
  }

  #refuse(layer: Digest, refused: RefusedLayer): RefusedLayer {
    const { reason, detail } = refused;
    this.#options.log.debug("layer is not served", { layer, reason, detail });
    return refused;
  }

  async #finish(merging: EarlyMerge): Promise<void> {
    await Promise.all(
      [...this.#layers.values()].map(async ({ state }) => {
        const settled = await state;
        if (settled.kind === "refused") throw failureOf(settled);
      }),
    );
    await merging.finish();
    this.#options.log.debug("layers merged", { layers: this.chain.length });
    await this.#remember();
  }

  /** Also of an image of which some layers are not served. */
  async #keepZtocs(): Promise<void> {
    const { held, ztocs, log } = this.#options;
    await Promise.all([...this.#layers.values()].map(({ state }) => state));
    const found = new Map<Digest, Digest>();
    for (const { layer } of held.layers()) {
      const ztoc = ztocOfKey(layer.key);
      if (ztoc !== undefined) found.set(layer.digest, ztoc);
    }
    try {
      await ztocs.keep(this.image.descriptor.digest, found);
    } catch (error) {
      // The layers are ready all the same; next time their index is asked for.
      if (!isKind(error, "failed-precondition")) throw error;
      log.warn("zTOCs of an image are not remembered", { error });
    }
  }

  async #remember(): Promise<void> {
    const { manifests, log } = this.#options;
    const { descriptor, bytes } = this.image;
    await this.#ztocsKept;
    try {
      await manifests.keep(descriptor.digest, bytes);
    } catch (error) {
      // The image is ready all the same; next time its manifest is asked for.
      if (!isKind(error, "failed-precondition")) throw error;
      log.warn("manifest is not remembered", { error });
    }
  }
}

/** Names under which a layer that may be used for this image can be in the cache, the best first. */
export function keysFor(layer: Digest, ztocs: ZtocsByLayer): readonly LayerKey[] {
  const ztoc = ztocs.get(layer);
  return ztoc === undefined ? [layer] : [layer, keyByZtoc(layer, ztoc)];
}
