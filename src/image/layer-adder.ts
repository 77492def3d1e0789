import { Semaphore } from "../async/semaphore.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { keyByZtoc, type LayerKey } from "../cache/layer-key.ts";
import { isKind } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ResolvedImage } from "../oci/resolve-image.ts";
import { ByteBudget } from "./byte-budget.ts";
import type { EarlyMerge } from "./early-merge.ts";
import type { HeldLayers } from "./held-layers.ts";
import { readDiffIds } from "./image-layers.ts";
import { ingestLayer } from "./ingest-layer.ts";
import type { RefusedLayer } from "./layer-outcome.ts";
import { type LayerRoute, noZtoc } from "./layer-routes.ts";
import { checkZtocSize, isUseless, logNotLazy, readZtoc } from "./open-layer.ts";
import type { ImagePreparationOptions } from "./preparation-options.ts";
import type { TableBuilder } from "./table-builder.ts";

export interface LayerAdderOptions extends Omit<ImagePreparationOptions, "manifests"> {
  readonly image: ResolvedImage;
  readonly held: HeldLayers;
  readonly tables: TableBuilder;
  readonly merging: EarlyMerge;
  /** Told, before it is merged, under which name a layer is in the cache. */
  readonly onKey: (key: LayerKey) => void;
  readonly hasIndex: () => boolean;
}

export interface AddOptions extends WaitOptions {
  readonly route: () => Promise<LayerRoute>;
  /** Called when its zTOC has come, or is not waited for any more. */
  readonly onZtocPassed: () => void;
}

/** Requests for zTOCs and layers of one image under way at once, and memory for them. */
const PARALLEL = 64;
const ZTOC_BYTES = 48 << 20;
const AHEAD_BYTES = 16 << 20;

/** Gets layers of one image into the cache, each by its own way, and has their trees built. */
export class LayerAdder implements AsyncDisposable {
  readonly #options: LayerAdderOptions;
  readonly #ztocTurns = new Semaphore(PARALLEL);
  readonly #ztocMemory = new ByteBudget(ZTOC_BYTES);
  readonly #aheadMemory = new ByteBudget(AHEAD_BYTES);
  readonly #downloads: Semaphore;
  #diffIds: Promise<ReadonlyMap<Digest, Digest>> | undefined;

  constructor(options: LayerAdderOptions) {
    this.#options = options;
    this.#downloads = new Semaphore(Math.min(options.limits?.perImage ?? PARALLEL, PARALLEL));
  }

  /** What the layers' uncompressed bytes must be; undefined while nobody has asked. */
  async diffIds(): Promise<ReadonlyMap<Digest, Digest> | undefined> {
    return await this.#diffIds;
  }

  /** Adds a layer, or returns why that may not be. The layer is then held open. @throws what is in the way */
  async add(layer: Descriptor, options: AddOptions): Promise<RefusedLayer | undefined> {
    if (this.#options.held.has(layer.digest)) {
      options.onZtocPassed();
      if (await this.#addHeld(layer, options)) return undefined;
      const route = await options.route();
      if (route.kind === "stream") this.tellStreamed([layer]);
      return await this.#addBy(route, layer, options);
    }
    return await this.#addBy(await options.route(), layer, options);
  }

  /** Layers are about to be read whole: the config is asked for beside the first of them. */
  tellStreamed(layers: readonly Descriptor[]): void {
    const { source, image, onStreamed, hasIndex, signal } = this.#options;
    if (layers.length === 0) return;
    if (this.#diffIds === undefined) {
      this.#diffIds = readDiffIds(source, image.manifest, { signal });
      // A failure waits for the end of that layer, when the answer is wanted.
      this.#diffIds.catch(() => undefined);
    }
    onStreamed?.(layers, hasIndex());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([this.#diffIds]);
  }

  /** Whether a layer that was in the cache is sound; else it has been removed. */
  async #addHeld({ digest }: Descriptor, options: WaitOptions): Promise<boolean> {
    const { held, tables, merging } = this.#options;
    try {
      await merging.begin(tables.addCached(this.#keyOf(digest), options));
      return true;
    } catch (error) {
      if (!isKind(error, "data-loss", "not-found")) throw error;
      merging.takeBack();
      await held.drop(digest, error);
      return false;
    }
  }

  /** The name of a layer that is held. */
  #keyOf(layer: Digest): LayerKey {
    const { key } = this.#options.held.get(layer).layer;
    this.#options.onKey(key);
    return key;
  }

  async #addBy(
    route: LayerRoute,
    layer: Descriptor,
    options: AddOptions,
  ): Promise<RefusedLayer | undefined> {
    if (route.kind === "refused") return route;
    if (route.kind === "ztoc") {
      const fault = await this.#addIndexed(layer, route.ztoc, options);
      options.onZtocPassed();
      if (fault === undefined) return undefined;
      if (this.#options.outsideIndex === "refuse") {
        return noZtoc(`Cannot serve layer ${layer.digest} by its zTOC: ${fault}`);
      }
      this.tellStreamed([layer]);
    }
    options.onZtocPassed();
    await this.#addWhole(layer, options);
    return undefined;
  }

  async #addWhole(layer: Descriptor, { signal }: WaitOptions): Promise<void> {
    const { held, tables, merging, limits } = this.#options;
    const { digest } = layer;
    using _turn = await this.#downloads.acquire({ signal });
    using _shared = await limits?.downloads?.acquire({ signal });
    const cached = await ingestLayer(layer, {
      ...this.#options,
      ahead: this.#aheadMemory,
      diffId: async () => (await this.#diffIds)?.get(digest),
      signal,
    });
    held.add({ layer: cached, from: "streamed" });
    await merging.begin(tables.addCached(this.#keyOf(digest), { signal }));
  }

  /** Undefined, or why the zTOC is of no use. */
  async #addIndexed(
    layer: Descriptor,
    ztoc: Descriptor,
    { signal }: WaitOptions,
  ): Promise<string | undefined> {
    const { log, held, tables, merging, onKey } = this.#options;
    const key = keyByZtoc(layer.digest, ztoc.digest);
    // Another image may have the same zTOC.
    if (await held.openIfThere([key], { signal })) {
      if (await this.#addHeld(layer, { signal })) return undefined;
    }
    using _turn = await this.#ztocTurns.acquire({ signal });
    let fault: string | undefined;
    try {
      checkZtocSize(layer, ztoc);
      using _memory = await this.#ztocMemory.acquire(ztoc.size, { signal });
      using _shared = await this.#options.limits?.ztocMemory?.acquire(ztoc.size, { signal });
      const bytes = await readZtoc(layer, ztoc, { ...this.#options, signal });
      log.debug("zTOC read", { layer: layer.digest, bytes: bytes.length });
      onKey(key);
      const adding = tables.addZtoc({ key, size: layer.size }, ownMemory(bytes), { signal });
      fault = await merging.begin(adding);
      if (fault !== undefined) merging.takeBack();
    } catch (error) {
      if (!isUseless(error)) throw error;
      fault = error.message;
    }
    if (fault === undefined) await held.open(key, "index");
    else logNotLazy(log, { layer, ztoc: ztoc.digest, reason: fault });
    return fault;
  }
}

/** Bytes that can be transferred to another thread: alone in their memory. */
function ownMemory(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength
    ? new Uint8Array(buffer)
    : new Uint8Array(bytes);
}
