import { dirname } from "node:path";
import { abortable } from "../async/abortable.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { CachedLayer } from "../cache/cached-layer.ts";
import type { LayerKey } from "../cache/layer-key.ts";
import { mapTable } from "../cache/table-file.ts";
import { SociError } from "../errors.ts";
import { chainKeyOf } from "../image/image-layers.ts";
import type { LayerOutcome } from "../image/layer-outcome.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import type {
  IdMappings,
  ImageAnswer,
  LayerAnswer,
  LayerMounter,
  LayerRequest,
  MountStackOptions,
  PrepareImageOptions,
  RefusalReason,
  RestoredSnapshots,
  ServedLayer,
} from "../snapshotter/layer-mounter.ts";
import { ChainTable } from "../tree/chain-table.ts";
import { imageChainId } from "./image-chain-id.ts";
import type { ImageName, ImageSession, ImageSessions } from "./image-sessions.ts";
import type { LayerStock } from "./layer-stock.ts";
import type { StackKind, StackMounts } from "./stack-mounts.ts";

export interface LazyLayersOptions {
  readonly sessions: ImageSessions;
  readonly stock: LayerStock;
  readonly mounts: StackMounts;
  /** The merged tree of layers that are in the cache, kept from being removed until it is disposed of. */
  readonly openTree: (layers: readonly LayerKey[]) => Promise<OpenTree>;
  /** Told of each layer that can be served, with all of its image's. */
  readonly onServed: (session: ImageSession, chain: readonly Digest[], layer: ServedLayer) => void;
  readonly collect: () => Promise<void>;
  readonly events: LazyLayerEvents;
  /** How long a layer may take that is not downloaded whole. */
  readonly timeoutMs: number;
  /** How much longer one may take that is. */
  readonly streamMs?: number;
  /** How long a start waits for stacks whose layers have to be fetched again. */
  readonly restoreMs?: number;
  /** Directories of mounts of the daemon before that are gone. */
  readonly lost?: ReadonlySet<string> | undefined;
  readonly log: Logger;
}

/** For metrics. */
export interface LazyLayerEvents {
  /** A layer can be served. */
  served(layer: Digest, ms: number): void;
  refused(layer: Digest, reason: RefusalReason, detail: string): void;
  shown(layers: number, ms: number): void;
}

export interface OpenTree extends Disposable {
  readonly treePath: string;
}

interface Stack {
  readonly serial: number;
  readonly key: string;
  /** Names its directory. The tree itself has another name where a layer came back in another way. */
  readonly treeKey: string;
  readonly layers: readonly ServedLayer[];
  readonly ids: IdMappings | undefined;
  readonly holders: Set<string>;
  /** Those who hold it in advance, for others. */
  readonly tops: Set<string>;
  showing: Promise<ShownDirectory> | undefined;
}

interface ShownDirectory {
  readonly path: string;
  readonly kind: StackKind;
  readonly tree: OpenTree;
}

/** How often a stack may be unmounted under us between being shown and being used. */
const MAX_LOST = 3;
/** A layer that has been promised to a snapshot is kept for so long, until the snapshot says that it is there. */
const PROMISE_MS = 60_000;
const RESTORE_MS = 10_000;
/** The longest that a layer which is read whole may take: containerd can collect nothing meanwhile. */
const STREAM_MS = 30 * 60_000;

/** What shows layers to the snapshotter, out of the cache and the registry. */
export class LazyLayers implements LayerMounter, AsyncDisposable {
  readonly #options: LazyLayersOptions;
  readonly #log: Logger;
  readonly #stacks = new Map<string, Stack>();
  /** By the stack's key: it is shown again only behind this. */
  readonly #hiding = new Map<string, Promise<void>>();
  readonly #promises = new Map<string, NodeJS.Timeout>();
  #lastSerial = 0;
  #isDisposed = false;
  #isLeft = false;

  constructor(options: LazyLayersOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  async prepareLayer(request: LayerRequest, { signal }: WaitOptions = {}): Promise<LayerAnswer> {
    const { layerDigest } = request;
    const begun = performance.now();
    try {
      const answer = await this.#options.sessions.use(
        nameOf(request),
        (session) => this.#prepare(request, session, signal),
        { signal },
      );
      if (answer.kind === "served") {
        this.#options.events.served(layerDigest, performance.now() - begun);
      } else {
        this.#options.events.refused(layerDigest, answer.reason, answer.detail);
      }
      return answer;
    } catch (error) {
      signal?.throwIfAborted();
      const reason = error instanceof SociError ? "registry" : "internal";
      this.#log.error("layer cannot be prepared", {
        layer: layerDigest,
        image: request.imageReference,
        error,
      });
      const detail = messageOf(error);
      this.#options.events.refused(layerDigest, reason, detail);
      return { kind: "refused", reason, detail };
    }
  }

  async prepareImage(
    request: LayerRequest,
    { target, signal }: PrepareImageOptions,
  ): Promise<ImageAnswer> {
    try {
      return await this.#options.sessions.use(
        nameOf(request),
        (session) => this.#prepareAll(request, session, { target, signal }),
        { signal },
      );
    } catch (error) {
      signal?.throwIfAborted();
      // The layer that the labels name may be here all the same, and has a reason of its own if not.
      const answer = await this.prepareLayer(request, { signal });
      const detail = messageOf(error);
      return answer.kind === "refused" ? answer : { kind: "refused", reason: "registry", detail };
    }
  }

  holdLayer(snapshot: string, layer: ServedLayer): void {
    this.#options.stock.hold(snapshot, layer);
    this.#keepPromise(layer.cacheKey);
  }

  async mountStack(
    layers: readonly ServedLayer[],
    { holder, top, ids, signal }: MountStackOptions,
  ): Promise<string> {
    if (this.#isDisposed) throw ending();
    const treeKey = chainKeyOf(layers.map(({ cacheKey }) => cacheKey));
    const key = ids === undefined ? treeKey : `${treeKey} ${JSON.stringify(ids)}`;
    let stack = this.#stacks.get(key);
    if (stack === undefined) {
      const serial = ++this.#lastSerial;
      stack = {
        serial,
        key,
        treeKey,
        layers,
        ids,
        holders: new Set(),
        tops: new Set(),
        showing: undefined,
      };
      this.#stacks.set(key, stack);
    }
    stack.holders.add(holder);
    // A mapping is one container's; without one the next container of the image finds it there.
    if (ids === undefined) {
      stack.holders.add(top);
      stack.tops.add(top);
    }
    for (let round = 0; round < MAX_LOST; round++) {
      stack.showing ??= this.#show(stack);
      const { showing } = stack;
      const { path, kind } = await this.#inTime(showing, signal);
      if (this.#isDisposed) throw ending();
      if (this.#stacks.get(key) !== stack || !stack.holders.has(holder)) {
        throw new SociError("unavailable", `Cannot show layers: snapshot ${holder} was removed`);
      }
      if (this.#options.mounts.isShown({ treeKey, kind })) return path;
      // Somebody has unmounted it. The first who sees it shows it again, for all.
      if (stack.showing !== showing) continue;
      this.#hide(stack);
      stack.showing = this.#show(stack);
    }
    throw new SociError("unavailable", "Cannot show layers: they are unmounted again and again");
  }

  release(snapshot: string): void {
    for (const stack of [...this.#stacks.values()]) {
      if (!stack.holders.delete(snapshot) || stack.holders.size > 0) continue;
      this.#stacks.delete(stack.key);
      this.#hide(stack);
    }
    this.#options.stock.release(snapshot);
  }

  async restore({ layers, stacks }: RestoredSnapshots): Promise<void> {
    for (const { snapshot, layer } of layers) this.#options.stock.hold(snapshot, layer);
    // A registry that is down must not keep us from serving what is here.
    const { restoreMs = RESTORE_MS } = this.#options;
    const waiting = new AbortController();
    const timer = setTimeout(() => {
      waiting.abort(new SociError("unavailable", "its layers are not all here yet"));
    }, restoreMs);
    const results = await Promise.allSettled(
      stacks.map(({ layers: stack, options }) =>
        this.mountStack(stack, { ...options, signal: waiting.signal }),
      ),
    );
    clearTimeout(timer);
    for (const [index, result] of results.entries()) {
      if (result.status === "fulfilled") continue;
      const { holder } = stacks[index]?.options ?? {};
      this.#log.error("stack of layers cannot be shown again; it is tried when it is asked for", {
        snapshot: holder,
        error: result.reason,
      });
    }
    // What was mounted before is served with all of them, or who reads the others would get errors.
    await this.#options.mounts.begin();
    this.#tellLost(stacks, results);
    this.#log.info("snapshots restored", {
      layers: new Set(layers.map(({ layer }) => layer.digest)).size,
      stacks: results.filter(({ status }) => status === "fulfilled").length,
    });
  }

  /**
   * The daemon ends and its mounts stay, with the stacks that somebody uses; the others are taken away.
   * Nothing can be asked of this any more; layers and sessions are closed by their owners, afterwards.
   */
  async leave(): Promise<void> {
    this.#isDisposed = true;
    for (const timer of this.#promises.values()) clearTimeout(timer);
    for (const stack of [...this.#stacks.values()]) {
      if (isUsed(stack)) continue;
      this.#stacks.delete(stack.key);
      this.#hide(stack);
    }
    await this.#hidden();
    await this.#options.mounts.leave();
    this.#isLeft = true;
  }

  /** Snapshots that use a stack, for whoever says what a goodbye costs. */
  users(): readonly string[] {
    return [...this.#stacks.values()].flatMap(usersOf);
  }

  async cleanup(options: WaitOptions = {}): Promise<void> {
    this.#options.sessions.endIdle();
    await abortable(this.settled(), options.signal);
    options.signal?.throwIfAborted();
    await this.#options.collect();
  }

  /** How many stacks have this layer. */
  stacksWith(digest: Digest): number {
    let count = 0;
    for (const { layers } of this.#stacks.values()) {
      if (layers.some((layer) => layer.digest === digest)) count++;
    }
    return count;
  }

  /** Resolves when what was released is taken away. */
  async settled(): Promise<void> {
    await this.#hidden();
    await this.#options.stock.settled();
  }

  /** Takes all stacks away; layers, mounts and sessions are closed by their owners, afterwards. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    for (const timer of this.#promises.values()) clearTimeout(timer);
    // Who uses a mount that is left goes on using it.
    if (!this.#isLeft) for (const stack of this.#stacks.values()) this.#hide(stack);
    await this.#closeLeft();
    this.#stacks.clear();
    await this.#hidden();
  }

  /** What was shown is no more ours: only files are closed. */
  async #closeLeft(): Promise<void> {
    if (!this.#isLeft) return;
    for (const { showing } of this.#stacks.values()) {
      const shown = await showing?.catch(() => undefined);
      shown?.tree[Symbol.dispose]();
    }
  }

  /** Layers may have to be fetched again, which goes on: whoever comes later may find them there. */
  async #inTime<T>(showing: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const { timeoutMs } = this.#options;
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new SociError("unavailable", `Cannot show layers within ${timeoutMs} ms`));
    }, timeoutMs);
    try {
      const either = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
      return await abortable(showing, either);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Who has used a mount that is gone has it no more, wherever the stack is shown now. */
  #tellLost(
    stacks: RestoredSnapshots["stacks"],
    results: readonly PromiseSettledResult<string>[],
  ): void {
    const { lost } = this.#options;
    for (const [index, result] of results.entries()) {
      if (result.status === "rejected" || !lost?.has(dirname(result.value))) continue;
      this.#log.error("container has lost its file system: it must be started again", {
        snapshot: stacks[index]?.options.holder,
      });
    }
  }

  async #hidden(): Promise<void> {
    while (this.#hiding.size > 0) await Promise.all(this.#hiding.values());
  }

  /**
   * Layers bring labels of their own, which whoever has made the image writes: the wish for all of them
   * may be none of the client's. Under any other name than that of all of them they would be taken for
   * layers of another image.
   */
  async #prepareAll(
    request: LayerRequest,
    { source, preparation }: ImageSession,
    { target, signal }: PrepareImageOptions,
  ): Promise<ImageAnswer> {
    const late = AbortSignal.timeout(this.#options.timeoutMs);
    const inTime = signal === undefined ? late : AbortSignal.any([signal, late]);
    const { manifest } = await preparation.image({ signal: inTime });
    const [chainId, ...answers] = await Promise.all([
      imageChainId(source, manifest, { signal: inTime }),
      ...manifest.layers.map(({ digest: layerDigest }) =>
        this.prepareLayer({ ...request, layerDigest }, { signal }),
      ),
    ]);
    if (chainId !== target) {
      const detail = `Cannot serve image ${request.manifestDigest} as ${target}: its layers are ${chainId}`;
      this.#options.events.refused(request.layerDigest, "data", detail);
      return { kind: "refused", reason: "data", detail };
    }
    const layers: ServedLayer[] = [];
    for (const answer of answers) {
      if (answer.kind === "refused") return answer;
      layers.push(answer.layer);
    }
    return {
      kind: "served",
      layers,
      isWhole: answers.some((answer) => answer.kind === "served" && answer.isWhole),
      hasIndex: answers.some((answer) => answer.kind === "served" && answer.hasIndex),
    };
  }

  async #prepare(
    request: LayerRequest,
    session: ImageSession,
    signal: AbortSignal | undefined,
  ): Promise<LayerAnswer> {
    const { layerDigest } = request;
    const { preparation } = session;
    const outcome = await this.#outcomeOf(session, layerDigest, signal);
    if (outcome === "late") {
      const detail = `timeout waiting for layer ${layerDigest} to resolve`;
      return { kind: "refused", reason: "timeout", detail };
    }
    if (outcome.kind === "refused") {
      // A registry may be back, an index be pushed: the next pull looks again.
      this.#options.sessions.expire(session.name);
      return outcome;
    }
    const { descriptor, layer, isWhole, hasIndex } = outcome;
    const { namespace, imageReference, manifestDigest } = request;
    const { digest, size, mediaType } = descriptor;
    const name = { namespace, imageReference, manifestDigest };
    const served = { digest, cacheKey: layer.key, size, mediaType, ...name };
    this.#promise(served, layer);
    // A layer that is in the cache is served also where its image cannot be had.
    const image = await preparation.image({ signal }).catch((error: unknown) => {
      signal?.throwIfAborted();
      this.#log.debug("image of a cached layer cannot be had", { image: imageReference, error });
      return undefined;
    });
    if (image === undefined) this.#options.sessions.expire(session.name);
    else {
      const chain = image.manifest.layers.map((one) => one.digest);
      this.#options.onServed(session, chain, served);
    }
    return { kind: "served", layer: served, isWhole, hasIndex };
  }

  async #outcomeOf(
    { preparation, streamed }: ImageSession,
    digest: Digest,
    signal: AbortSignal | undefined,
  ): Promise<LayerOutcome | "late"> {
    const waiting = new AbortController();
    const outcome = preparation.layer(digest, {
      signal: signal === undefined ? waiting.signal : AbortSignal.any([signal, waiting.signal]),
    });
    const { timeoutMs, streamMs = STREAM_MS } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => {
        if (!streamed.has(digest)) resolve("late");
        // What is downloaded whole takes as long as it takes, but for a registry that never ends.
        else timer = setTimeout(() => resolve("late"), streamMs);
      }, timeoutMs);
    });
    try {
      const first = await Promise.race([outcome, late]);
      if (first === "late") {
        // It goes on for the others. What comes for this one all the same is nobody's.
        outcome.then(closeLayer).catch((error: unknown) => {
          this.#log.debug("layer that came late", { layer: digest, error });
        });
        waiting.abort(new DOMException("nobody waits for the layer", "AbortError"));
      }
      return first;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Between an answer and the snapshot that follows from it nobody else holds the layer. */
  #promise(served: ServedLayer, layer: CachedLayer): void {
    const holder = `promise-${++this.#lastSerial}-${served.cacheKey}`;
    this.#options.stock.hold(holder, served, layer);
    const timer = setTimeout(() => this.#endPromise(holder), PROMISE_MS);
    timer.unref();
    this.#promises.set(holder, timer);
  }

  /** The oldest: others may be those of other snapshots of the same layer. */
  #keepPromise(cacheKey: string): void {
    for (const holder of this.#promises.keys()) {
      if (!holder.endsWith(cacheKey)) continue;
      this.#endPromise(holder);
      return;
    }
  }

  #endPromise(holder: string): void {
    clearTimeout(this.#promises.get(holder));
    this.#promises.delete(holder);
    this.#options.stock.release(holder);
  }

  async #show(stack: Stack): Promise<ShownDirectory> {
    const { stock, mounts, events } = this.#options;
    const { key, treeKey, layers, ids } = stack;
    const begun = performance.now();
    try {
      await this.#hiding.get(key);
      // Until it is hidden: snapshots may go before.
      for (const layer of layers) stock.hold(holderOf(stack), layer);
      const stocked = await Promise.all(layers.map(({ cacheKey }) => stock.get(cacheKey)));
      using cleanup = new DisposableStack();
      const tree = cleanup.use(await this.#options.openTree(stocked.map(({ layer }) => layer.key)));
      const { treePath } = tree;
      const chain = ChainTable.open(mapTable(treePath, { verify: false }));
      const tables = [chain, ...stocked.map(({ lease }) => lease)];
      const kind = {
        xattrs: tables.some(({ hasXattrs }) => hasXattrs),
        acls: tables.some(({ hasAcls }) => hasAcls),
        ids,
      };
      const leases = stocked.map(({ lease }) => lease);
      const path = await mounts.show({ treeKey, treePath, layers: leases, kind });
      cleanup.move();
      events.shown(layers.length, performance.now() - begun);
      return { path, kind, tree };
    } catch (error) {
      // The next one who asks tries again.
      stack.showing = undefined;
      stock.release(holderOf(stack));
      throw error;
    }
  }

  #hide(stack: Stack): void {
    if (stack.showing === undefined) return;
    const { key, treeKey } = stack;
    const hiding = this.#takeAway(stack.showing, treeKey)
      .catch((error: unknown) => this.#log.error("stack of layers cannot be hidden", { error }))
      .finally(() => {
        this.#options.stock.release(holderOf(stack));
        if (this.#hiding.get(key) === hiding) this.#hiding.delete(key);
      });
    this.#hiding.set(key, hiding);
  }

  async #takeAway(showing: Promise<ShownDirectory>, treeKey: string): Promise<void> {
    let shown: ShownDirectory;
    try {
      shown = await showing;
    } catch {
      // It was never shown, which whoever asked for it has been told.
      return;
    }
    using _tree = shown.tree;
    await this.#options.mounts.hide({ treeKey, kind: shown.kind });
  }
}

function usersOf({ holders, tops }: Stack): readonly string[] {
  return [...holders].filter((holder) => !tops.has(holder));
}

function isUsed(stack: Stack): boolean {
  return usersOf(stack).length > 0;
}

/** Each time that a stack is shown it holds its layers anew: the one before may still be going. */
function holderOf({ serial }: Stack): string {
  return `stack-${serial}`;
}

function nameOf(request: LayerRequest): ImageName {
  const { namespace, imageReference, manifestDigest, indexDigest } = request;
  return { namespace, imageReference, manifestDigest, indexDigest };
}

async function closeLayer(outcome: LayerOutcome): Promise<void> {
  if (outcome.kind === "ready") await outcome.layer[Symbol.asyncDispose]();
}

function ending(): SociError {
  return new SociError("unavailable", "Cannot show layers: the daemon is about to end");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
