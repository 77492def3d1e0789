import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Semaphore } from "../async/semaphore.ts";
import { systemFailure } from "../cache/system-failure.ts";
import { SociError } from "../errors.ts";
import type { FuseNegotiated } from "../fuse/init.ts";
import { notifyInvalInode, notifyResend } from "../fuse/replies.ts";
import type { IdMappings } from "../lazyfs/id-map.ts";
import type { MountFeatures } from "../lazyfs/mount-features.ts";
import { ROOT_ID } from "../lazyfs/node-id.ts";
import type { Logger } from "../observability/log.ts";
import type { FuseWorkerPort, ReadCounts } from "../threads/fuse-workers.ts";
import type { AnsweredLayer, ReadAnswererOptions } from "../threads/read-answerer.ts";
import { type ChainRecord, isTreeKey } from "./chain-record.ts";
import { type OpenChainTree, openChainTree } from "./chain-tables.ts";
import { endStaleMounts } from "./end-stale-mounts.ts";
import { type ConnectionKeeper, FuseConnection } from "./fuse-connection.ts";
import type { MountRecords } from "./mount-records.ts";
import { MountJournal } from "./mount-journal.ts";
import { MountServer } from "./mount-server.ts";
import type { ServedLayerLease } from "./served-layers.ts";
import type { TableNumbers } from "./table-numbers.ts";
import type { TakenMount } from "./taken-mounts.ts";
import { MOUNT_TYPE, type MountType } from "./unmount-image.ts";

export interface ChainMountOptions {
  /** Absolute, without symlinks. Made when it is not there. */
  readonly directory: string;
  /** Shown as the mount's source. */
  readonly name: string;
  readonly type?: MountType;
  /** What is asked of it for all chains; what is not is not there, whatever they have. */
  readonly kind: MountFeatures;
  /** Default: owners are shown as the images have them. */
  readonly ids?: IdMappings | undefined;
  readonly numbers: TableNumbers;
  readonly records: MountRecords;
  /** The state root. */
  readonly root: string;
  /** Whether the kernel is asked for what a former server has left, where it can; else there is a journal. Default true. */
  readonly resends?: boolean | undefined;
  /** Has a copy of the connection from now on. */
  readonly keeper?: ConnectionKeeper | undefined;
  /** Threads to answer the kernel, fresh; the mount ends them. Two by default are enough. */
  readonly ports: readonly FuseWorkerPort[];
  /** Of the cache that the chains are in. */
  readonly cacheRoot: string;
  /** Told of each read that was answered when its bytes had been fetched. */
  readonly onAnswered?: ReadAnswererOptions["onAnswered"];
  readonly log: Logger;
}

interface ShownChain {
  readonly treeKey: string;
  readonly table: number;
  readonly tree: OpenChainTree;
  readonly layers: readonly ServedLayerLease[];
}

interface ShownLayer {
  readonly lease: ServedLayerLease;
  /** Chains of this mount that are made of it. */
  chains: number;
}

/**
 * A mount that shows a directory for each of a changing set of chains, which is a stack of layers
 * merged. A file of a layer is one node, with one page cache, in all chains of the mount.
 */
export class ChainMount implements AsyncDisposable {
  readonly directory: string;
  readonly device: string;
  readonly negotiated: FuseNegotiated;
  readonly #options: ChainMountOptions;
  readonly #connection: FuseConnection;
  readonly #answered = new Map<number, AnsweredLayer>();
  readonly #chains = new Map<string, ShownChain>();
  readonly #layers = new Map<number, ShownLayer>();
  readonly #changes = new Semaphore(1);
  readonly #unmounted = Promise.withResolvers<void>();
  /** What the process before has shown, as long as nobody serves it. */
  #taken: ChainRecord | undefined;
  /** Once somebody does. */
  #server: MountServer | undefined;
  /** Where the kernel cannot be asked. */
  #journal: MountJournal | undefined;
  #record: AsyncDisposable | undefined;
  #mtimeMs: number;
  #disposed: Promise<void> | undefined;

  private constructor(options: ChainMountOptions, connection: FuseConnection, taken?: ChainRecord) {
    this.#options = options;
    this.directory = options.directory;
    this.device = connection.device;
    this.negotiated = connection.negotiated;
    this.#connection = connection;
    this.#taken = taken;
    this.#mtimeMs = Math.max(Date.now(), (taken?.mtimeMs ?? 0) + 1);
    // Whoever does not ask how the mount ended has no use for its failure.
    this.#unmounted.promise.catch(() => undefined);
  }

  /**
   * Mounts, and serves; a mount that a dead process has left on the directory is taken away before.
   * @throws permission-denied (only root can), unsupported, failed-precondition …
   */
  static async open(options: ChainMountOptions): Promise<ChainMount> {
    const { directory, name, type = MOUNT_TYPE, kind, keeper, ports, log } = options;
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => {
      for (const port of ports) port.terminate();
    });
    await endStaleMounts(directory, log);
    await mkdir(directory, { recursive: true, mode: 0o755 }).catch((error: unknown) => {
      throw systemFailure(`make directory "${directory}"`, error);
    });
    const connection = cleanup.use(
      await FuseConnection.open({
        directory,
        name,
        type,
        suid: true,
        dev: true,
        allowOther: true,
        acls: kind.acls,
        rootChanges: true,
        resends: options.resends,
        keeper,
        log,
      }),
    );
    const mount = new ChainMount(options, connection);
    await mount.#serve();
    cleanup.defer(() => mount.#server?.[Symbol.asyncDispose]());
    await mount.#writeRecord();
    cleanup.move();
    return mount;
  }

  /**
   * Goes on with a mount whose process has ended. Nothing is served until begin(): whoever reads waits,
   * and addChain() only makes ready. The descriptor is this mount's from now on.
   */
  static async takeOver(options: ChainMountOptions, taken: TakenMount): Promise<ChainMount> {
    const { keeper } = options;
    const { fd, record } = taken;
    const { directory, type, device, negotiated } = record;
    const connection = new FuseConnection({ fd, directory, type, device, negotiated }, options);
    for (const { table } of [...record.layers, ...record.chains]) options.numbers.reserve(table);
    await keeper?.keep(connection);
    return new ChainMount(options, connection, record);
  }

  /**
   * Serves what has been added to a mount that was taken over, and answers what the process before has
   * left unanswered. Chains that it showed and that are not here are shown no more. Does nothing for a
   * mount that is served.
   */
  async begin(): Promise<void> {
    await this.#changes.run(() => this.#begin());
  }

  /** What was read that the cache had, so far. */
  get reads(): ReadCounts {
    return this.#server?.reads ?? { count: 0, bytes: 0 };
  }

  /** Keys of the chains that are shown. */
  get chains(): readonly string[] {
    return [...this.#chains.keys()];
  }

  /** Resolves when it has been unmounted, by whomever; rejects when it cannot be served any more. */
  get unmounted(): Promise<void> {
    return this.#unmounted.promise;
  }

  /**
   * Shows a chain; its directory, which can be used when this resolves. The layers, bottom first, stay
   * the caller's, who keeps them until removeChain() is done. @throws already-exists; data-loss (the
   * tree is damaged) and not-found; failed-precondition (unmounted, or disk full)
   */
  async addChain(
    treeKey: string,
    treePath: string,
    layers: readonly ServedLayerLease[],
  ): Promise<string> {
    await this.#changes.run(() => this.#add(treeKey, treePath, layers));
    return join(this.directory, treeKey);
  }

  /**
   * Shows a chain no more: its name is absent, and whoever still uses it gets ESTALE. When it resolves
   * nobody reads its layers for this mount. One that is not shown is none to remove.
   */
  async removeChain(treeKey: string): Promise<void> {
    await this.#changes.run(() => this.#remove(treeKey));
  }

  /**
   * Ends the threads and leaves the mount, its record and who waits for an answer to the next process.
   * Nothing can be done with it any more.
   */
  async leave(): Promise<void> {
    this.#disposed ??= this.#changes.run(() => this.#leave());
    await this.#disposed;
  }

  /** Unmounts (a mount in use is detached, and whoever uses it gets errors) and ends the threads. Twice is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#changes.run(() => this.#dispose());
    await this.#disposed;
  }

  async #add(
    treeKey: string,
    treePath: string,
    layers: readonly ServedLayerLease[],
  ): Promise<void> {
    const { numbers, cacheRoot } = this.#options;
    this.#check(treeKey);
    await using undo = new AsyncDisposableStack();
    const tree = undo.use(await openChainTree(treePath, layers, cacheRoot));
    const layerNumbers = layers.map(({ number }) => number);
    const table = numbers.numberOf(`chain ${treeKey} ${tree.content} ${layerNumbers.join()}`);
    undo.defer(() => numbers.release(table));
    const fresh = this.#take(layers);
    undo.defer(() => this.#letGo(layers));
    const shown = { kind: "chain", table, path: tree.path, layers: layerNumbers } as const;
    this.#mtimeMs = Math.max(Date.now(), this.#mtimeMs + 1);
    this.#chains.set(treeKey, { treeKey, table, tree, layers });
    undo.defer(() => void this.#chains.delete(treeKey));
    if (this.#taken !== undefined) {
      // What is served is decided, and written down, by begin().
      undo.move();
      return;
    }
    // Before the kernel can hear of its nodes.
    await this.#writeRecord();
    await this.#server?.add({
      tables: [...fresh.map((lease) => lease.table), shown],
      names: [{ name: treeKey, chain: table }],
      mtimeMs: this.#mtimeMs,
    });
    notifyInvalInode(this.#connection.fd, ROOT_ID);
    undo.move();
  }

  async #remove(treeKey: string): Promise<void> {
    const chain = this.#chains.get(treeKey);
    if (chain === undefined) return;
    this.#chains.delete(treeKey);
    const gone = this.#lastOf(chain.layers);
    try {
      if (this.#taken === undefined) await this.#hide(treeKey, [chain.table, ...gone]);
    } finally {
      this.#letGo(chain.layers);
      this.#options.numbers.release(chain.table);
      chain.tree[Symbol.dispose]();
    }
    if (this.#taken === undefined) await this.#rewriteRecord();
  }

  /** Has threads and kernel forget a name; nobody reads the tables when it resolves. */
  async #hide(treeKey: string, tables: readonly number[]): Promise<void> {
    this.#mtimeMs = Math.max(Date.now(), this.#mtimeMs + 1);
    try {
      await this.#server?.remove({ names: [treeKey], tables, mtimeMs: this.#mtimeMs });
      await this.#server?.forget(ROOT_ID, treeKey);
    } catch (error) {
      // Where nobody serves any more nobody reads either.
      if (error instanceof SociError && error.kind === "failed-precondition") return;
      throw error;
    }
    notifyInvalInode(this.#connection.fd, ROOT_ID);
  }

  #check(treeKey: string): void {
    if (!isTreeKey(treeKey)) {
      throw new SociError("invalid-argument", `Cannot show chain "${treeKey}", want hex digits`);
    }
    if (this.#disposed !== undefined) {
      throw new SociError("failed-precondition", `Cannot show chain "${treeKey}": it is unmounted`);
    }
    if (this.#chains.has(treeKey)) {
      throw new SociError("already-exists", `Cannot show chain "${treeKey}": it is shown already`);
    }
  }

  /** Counts the layers of a chain that comes; those that no chain had. */
  #take(layers: readonly ServedLayerLease[]): ServedLayerLease[] {
    const fresh: ServedLayerLease[] = [];
    for (const lease of layers) {
      const shown = this.#layers.get(lease.number);
      if (shown !== undefined) {
        shown.chains += 1;
        continue;
      }
      this.#layers.set(lease.number, { lease, chains: 1 });
      this.#answered.set(lease.number, lease.answered);
      fresh.push(lease);
    }
    return fresh;
  }

  /** Numbers of the layers that no other chain is made of. */
  #lastOf(layers: readonly ServedLayerLease[]): readonly number[] {
    const uses = new Map<number, number>();
    for (const { number } of layers) uses.set(number, (uses.get(number) ?? 0) + 1);
    return [...uses]
      .filter(([number, count]) => this.#layers.get(number)?.chains === count)
      .map(([number]) => number);
  }

  #letGo(layers: readonly ServedLayerLease[]): void {
    for (const { number } of layers) {
      const shown = this.#layers.get(number);
      if (shown === undefined) continue;
      shown.chains -= 1;
      if (shown.chains > 0) continue;
      this.#layers.delete(number);
      this.#answered.delete(number);
    }
  }

  async #writeRecord(): Promise<void> {
    const { records, type = MOUNT_TYPE, kind, ids } = this.#options;
    const { directory, device, negotiated } = this;
    try {
      this.#record = await records.putChains({
        directory,
        type,
        device,
        negotiated,
        features: kind,
        ids,
        mtimeMs: this.#mtimeMs,
        layers: Array.from(this.#layers, ([table, { lease }]) => ({
          table,
          cacheKey: lease.layer.key,
          descriptor: lease.descriptor,
        })),
        chains: Array.from(this.#chains.values(), ({ treeKey, table, layers }) => ({
          treeKey,
          table,
          layers: layers.map(({ number }) => number),
        })),
      });
    } catch (error) {
      throw systemFailure(`write the record of mount "${directory}"`, error);
    }
  }

  /** Without room that of before stays, and is as good: chains are made anew, with their numbers. */
  async #rewriteRecord(): Promise<void> {
    const { directory } = this;
    try {
      await this.#writeRecord();
    } catch (error) {
      this.#options.log.warn("record of a mount cannot be written", { directory, error });
    }
  }

  /** Starts the threads, with all that is to be shown by now. */
  async #serve(): Promise<void> {
    const { root, kind, ids, ports, onAnswered, log } = this.#options;
    const chains = [...this.#chains.values()];
    if (!this.#connection.resends) {
      const place = { root, device: this.device, threads: ports.length, log };
      this.#journal =
        this.#taken === undefined ? MountJournal.begin(place) : MountJournal.takeOver(place);
    }
    const server = await MountServer.start({
      connection: this.#connection,
      ports,
      tables: [
        ...Array.from(this.#layers.values(), ({ lease }) => lease.table),
        ...chains.map(({ table, tree, layers }) => {
          const numbers = layers.map(({ number }) => number);
          return { kind: "chain", table, path: tree.path, layers: numbers } as const;
        }),
      ],
      root: {
        kind: "directory",
        mtimeMs: this.#mtimeMs,
        names: chains.map(({ treeKey, table }) => ({ name: treeKey, chain: table })),
      },
      // ACLs are asked for as xattrs.
      features: { xattrs: kind.xattrs || kind.acls, acls: kind.acls },
      ids,
      layers: this.#answered,
      journal: this.#journal,
      onDamage: (layer, span) => this.#layers.get(layer)?.lease.layer.damage(span),
      onAnswered,
      log,
    });
    this.#server = server;
    server.unmounted.then(this.#unmounted.resolve, this.#unmounted.reject);
  }

  async #begin(): Promise<void> {
    const taken = this.#taken;
    if (taken === undefined || this.#disposed !== undefined) return;
    await this.#serve();
    this.#taken = undefined;
    const { fd } = this.#connection;
    if (this.#connection.resends) notifyResend(fd);
    await this.#rewriteRecord();
    const changed = taken.chains.filter(({ treeKey, table }) => {
      return this.#chains.get(treeKey)?.table !== table;
    });
    for (const { treeKey } of changed) await this.#server?.forget(ROOT_ID, treeKey);
    notifyInvalInode(fd, ROOT_ID);
    this.#options.log.info("mount of the daemon before is served further", {
      directory: this.directory,
      stacks: this.#chains.size,
      dropped: changed.length,
    });
  }

  async #leave(): Promise<void> {
    for (const { tree } of this.#chains.values()) tree[Symbol.dispose]();
    this.#chains.clear();
    if (this.#server === undefined) this.#endPorts();
    await this.#server?.leave();
    this.#connection.leave();
  }

  /** Of a mount that was never served. */
  #endPorts(): void {
    for (const port of this.#options.ports) port.terminate();
  }

  async #dispose(): Promise<void> {
    await using ending = new AsyncDisposableStack();
    for (const { tree, table } of this.#chains.values()) {
      ending.use(tree);
      this.#options.numbers.release(table);
    }
    this.#chains.clear();
    if (this.#record !== undefined) ending.use(this.#record);
    if (this.#journal !== undefined) ending.use(this.#journal);
    if (this.#server !== undefined) {
      ending.use(this.#server);
      return;
    }
    ending.use(this.#connection);
    this.#endPorts();
  }
}
