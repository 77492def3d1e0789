import { dirname } from "node:path";
import { abortable } from "../async/abortable.ts";
import type { LayerKey } from "../cache/layer-key.ts";
import { mapTable } from "../cache/table-file.ts";
import { SociError } from "../errors.ts";
import { chainKeyOf } from "../image/image-layers.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import type {
  IdMappings,
  MountStackOptions,
  RestoredSnapshots,
  ServedLayer,
} from "../snapshotter/layer-mounter.ts";
import { ChainTable } from "../tree/chain-table.ts";
import type { LayerStock } from "./layer-stock.ts";
import type { StackKind, StackMounts } from "./stack-mounts.ts";

export interface LayerStacksOptions {
  readonly stock: LayerStock;
  readonly mounts: StackMounts;
  /** The merged tree of layers that are in the cache, kept from being removed until it is disposed of. */
  readonly openTree: (layers: readonly LayerKey[]) => Promise<OpenTree>;
  /** For metrics: so many layers are shown. */
  readonly onShown: (layers: number, ms: number) => void;
  /** How long a stack may take to be shown whose layers have to be fetched again. */
  readonly timeoutMs: number;
  /** How long a start waits for such stacks. */
  readonly restoreMs?: number;
  /** Directories of mounts of the daemon before that are gone. */
  readonly lost?: ReadonlySet<string> | undefined;
  readonly log: Logger;
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

const STACK = "stack-";
/** How often a stack may be unmounted under us between being shown and being used. */
const MAX_LOST = 3;
const RESTORE_MS = 10_000;

/** Stacks of layers, each shown as one directory for as long as a snapshot holds it. */
export class LayerStacks implements AsyncDisposable {
  readonly #options: LayerStacksOptions;
  readonly #log: Logger;
  readonly #stacks = new Map<string, Stack>();
  /** By the stack's key: it is shown again only behind this. */
  readonly #hiding = new Map<string, Promise<void>>();
  #lastSerial = 0;
  #isDisposed = false;
  #isLeft = false;

  constructor(options: LayerStacksOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** As LayerMounter.mountStack(). */
  async mount(
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

  /** A snapshot is gone: what nobody holds any more is taken away, behind the call. */
  release(snapshot: string): void {
    for (const stack of [...this.#stacks.values()]) {
      if (!stack.holders.delete(snapshot) || stack.holders.size > 0) continue;
      this.#stacks.delete(stack.key);
      this.#hide(stack);
    }
  }

  /**
   * Takes away what is shown for containers to come of images that are gone: as long as it is shown its
   * layers are held, and fetched.
   */
  releaseOrphans(): void {
    for (const stack of [...this.#stacks.values()]) {
      if (isUsed(stack) || this.#isExpected(stack)) continue;
      this.#stacks.delete(stack.key);
      this.#hide(stack);
    }
  }

  /** Shows what the daemon before has shown; the layers are held. Resolves to how many stacks are. */
  async restore(stacks: RestoredSnapshots["stacks"]): Promise<number> {
    // A registry that is down must not keep us from serving what is here.
    const { restoreMs = RESTORE_MS } = this.#options;
    const waiting = new AbortController();
    const timer = setTimeout(() => {
      waiting.abort(new SociError("unavailable", "its layers are not all here yet"));
    }, restoreMs);
    const results = await Promise.allSettled(
      stacks.map(({ layers: stack, options }) =>
        this.mount(stack, { ...options, signal: waiting.signal }),
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
    return results.filter(({ status }) => status === "fulfilled").length;
  }

  /**
   * The daemon ends and its mounts stay, with the stacks that somebody uses; the others are taken away.
   * Nothing can be asked of this any more; layers and sessions are closed by their owners, afterwards.
   */
  async leave(): Promise<void> {
    this.#isDisposed = true;
    for (const stack of [...this.#stacks.values()]) {
      if (isUsed(stack)) continue;
      this.#stacks.delete(stack.key);
      this.#hide(stack);
    }
    await this.hidden();
    await this.#options.mounts.leave();
    this.#isLeft = true;
  }

  /** Snapshots that use a stack, for whoever says what a goodbye costs. */
  users(): readonly string[] {
    return [...this.#stacks.values()].flatMap(usersOf);
  }

  /** How many stacks have this layer. */
  countWith(digest: Digest): number {
    let count = 0;
    for (const { layers } of this.#stacks.values()) {
      if (layers.some((layer) => layer.digest === digest)) count++;
    }
    return count;
  }

  /** Resolves when what was released is taken away. */
  async hidden(): Promise<void> {
    while (this.#hiding.size > 0) await Promise.all(this.#hiding.values());
  }

  /** Takes all stacks away; layers, mounts and sessions are closed by their owners, afterwards. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    // Who uses a mount that is left goes on using it.
    if (!this.#isLeft) for (const stack of this.#stacks.values()) this.#hide(stack);
    await this.#closeLeft();
    this.#stacks.clear();
    await this.hidden();
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

  async #show(stack: Stack): Promise<ShownDirectory> {
    const { stock, mounts, onShown } = this.#options;
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
      onShown(layers.length, performance.now() - begun);
      return { path, kind, tree };
    } catch (error) {
      // The next one who asks tries again.
      stack.showing = undefined;
      stock.release(holderOf(stack));
      throw error;
    }
  }

  /** Whether a snapshot is made of the topmost layer, or is about to be. */
  #isExpected({ layers }: Stack): boolean {
    const top = layers.at(-1);
    if (top === undefined) return false;
    return this.#options.stock.holdersOf(top.digest).some((holder) => !holder.startsWith(STACK));
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
  return `${STACK}${serial}`;
}

function ending(): SociError {
  return new SociError("unavailable", "Cannot show layers: the daemon is about to end");
}
