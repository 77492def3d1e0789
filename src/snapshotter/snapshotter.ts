import type { WaitOptions } from "../async/wait-options.ts";
import type { Mount } from "../containerd/api/mount.ts";
import type { Labels } from "../containerd/api/snapshots.ts";
import { SociError } from "../errors.ts";
import { type Logger, NO_LOG } from "../observability/log.ts";
import { diskUsage } from "./disk-usage.ts";
import { hostRootOf, idMappingsOf } from "./id-mappings.ts";
import { inUserNamespace } from "./in-user-namespace.ts";
import { KeyLocks } from "./key-locks.ts";
import type { LayerMounter } from "./layer-mounter.ts";
import { LayerPreparation } from "./layer-preparation.ts";
import { parseListFilter } from "./list-filter.ts";
import type { Metastore, NewSnapshot } from "./metastore.ts";
import { REF_LABEL } from "./metastore-schema.ts";
import { holderOf, NO_USAGE, type Snapshot, type Usage } from "./snapshot.ts";
import { type Owner, SnapshotDirectories } from "./snapshot-directories.ts";
import { SnapshotStacks } from "./snapshot-stacks.ts";
import type { SnapshotterCall, SnapshotterEvents } from "./snapshotter-events.ts";

export interface SnapshotterOptions {
  /** Holds `snapshots/`; the caller has made it. */
  readonly root: string;
  /** Closed with the snapshotter. */
  readonly metastore: Metastore;
  /** Not closed with the snapshotter. */
  readonly mounter: LayerMounter;
  readonly log?: Logger;
  readonly events?: SnapshotterEvents;
  /** Whether overlays keep their marks in `user.` attributes. Default: in a user namespace. */
  readonly userxattr?: boolean;
}

export interface PrepareOptions extends NewSnapshot {
  /** containerd's namespace. A layer, which has the label `containerd.io/snapshot.ref`, needs one. */
  readonly namespace?: string | undefined;
}

export interface CommitOptions {
  readonly key: string;
  readonly name: string;
  readonly labels: Labels;
  /** containerd 2.2: the parent for a snapshot that was prepared without. */
  readonly parent?: string | undefined;
}

export interface UpdateOptions {
  readonly name: string;
  readonly labels: Labels;
  readonly fieldPaths?: readonly string[];
}

/** Snapshots in one answer of list(). */
const LIST_BATCH = 100;

/**
 * containerd's snapshotter: its rules, over rows and directories of its own and layers that a
 * LayerMounter shows. Calls may come at the same time; those of one key are done one after another.
 * Every method throws `unavailable` when it is closed, and the reason of an aborted signal.
 */
export class Snapshotter implements AsyncDisposable {
  readonly #metastore: Metastore;
  readonly #mounter: LayerMounter;
  readonly #log: Logger;
  readonly #events: SnapshotterEvents;
  readonly #directories: SnapshotDirectories;
  readonly #stacks: SnapshotStacks;
  readonly #layers: LayerPreparation;
  readonly #locks = new KeyLocks();
  readonly #running = new Set<Promise<unknown>>();
  readonly #removals = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  private constructor(options: SnapshotterOptions) {
    const { root, metastore, mounter, log = NO_LOG, events = {} } = options;
    this.#metastore = metastore;
    this.#mounter = mounter;
    this.#log = log;
    this.#events = events;
    this.#directories = SnapshotDirectories.open(root);
    this.#stacks = new SnapshotStacks({
      metastore,
      mounter,
      directories: this.#directories,
      userxattr: options.userxattr ?? inUserNamespace(),
    });
    this.#layers = new LayerPreparation({ metastore, mounter, log, events });
  }

  /** Opens what is on disk, and has the mounter show again what it showed. Owns the metastore at once. */
  static async open(options: SnapshotterOptions): Promise<Snapshotter> {
    try {
      const snapshotter = new Snapshotter(options);
      await snapshotter.#stacks.restore();
      snapshotter.#removeLater(() => snapshotter.#directories.removeUnfinished());
      return snapshotter;
    } catch (error) {
      options.metastore[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * An active snapshot, and how to mount it. For a layer (label `containerd.io/snapshot.ref`) that can
   * be served: a committed snapshot of the name in that label, and `already-exists`.
   */
  prepare(options: PrepareOptions, waiting: WaitOptions = {}): Promise<readonly Mount[]> {
    return this.#call("prepare", options.name, waiting, async (wait) => {
      const target = options.labels[REF_LABEL];
      if (target !== undefined && target !== "") {
        await this.#layers.prepare({ ...options, target }, wait);
      }
      return await this.#create("active", options, wait);
    });
  }

  /** A snapshot to look at, and how to mount it. */
  view(options: NewSnapshot, waiting: WaitOptions = {}): Promise<readonly Mount[]> {
    return this.#call("view", options.name, waiting, (wait) => this.#create("view", options, wait));
  }

  /** How to mount an active snapshot or a view. */
  mounts(key: string, waiting: WaitOptions = {}): Promise<readonly Mount[]> {
    return this.#call("mounts", key, waiting, (wait) =>
      this.#stacks.mountsOf(this.#metastore.get(key), wait),
    );
  }

  /** Makes a committed snapshot of an active one. */
  commit(options: CommitOptions, waiting: WaitOptions = {}): Promise<void> {
    const { key } = options;
    return this.#call("commit", key, waiting, async (wait) => {
      const active = this.#metastore.get(key);
      const usage = active.kind === "active" ? await this.#scan(active, wait) : NO_USAGE;
      this.#metastore.commit({ ...options, usage });
      // What is below it was shown for those who wrote to it.
      this.#mounter.release(holderOf(active));
      // containerd believes what it is told of a committed snapshot for ever.
      await this.#metastore.sync();
    });
  }

  /** Removes a snapshot that nothing stands on. Its directory may go a little later. */
  remove(key: string, waiting: WaitOptions = {}): Promise<void> {
    return this.#call("remove", key, waiting, async () => {
      this.#discard(this.#metastore.remove(key));
    });
  }

  stat(key: string, waiting: WaitOptions = {}): Promise<Snapshot> {
    return this.#call("stat", undefined, waiting, async () => this.#metastore.get(key));
  }

  /** Changes labels, all or those of the field paths (`labels`, `labels.<key>`). */
  update(
    { name, labels, fieldPaths }: UpdateOptions,
    waiting: WaitOptions = {},
  ): Promise<Snapshot> {
    return this.#call("update", undefined, waiting, async () =>
      this.#metastore.update(name, labels, fieldPaths),
    );
  }

  /** All snapshots that were there at the start and match one of the filters, in batches by name. */
  async *list(
    filters: readonly string[],
    waiting: WaitOptions = {},
  ): AsyncGenerator<readonly Snapshot[]> {
    const { ref, matches } = parseListFilter(filters);
    const ids = await this.#call("list", undefined, waiting, async () =>
      this.#metastore.ids({ ref }),
    );
    for (let start = 0; start < ids.length; start += LIST_BATCH) {
      this.#stop.signal.throwIfAborted();
      waiting.signal?.throwIfAborted();
      const found = this.#metastore.byIds(ids.slice(start, start + LIST_BATCH)).filter(matches);
      if (found.length > 0) yield found;
    }
  }

  /** What a snapshot takes on disk: an active one now, a committed one when it was committed. */
  usage(key: string, waiting: WaitOptions = {}): Promise<Usage> {
    return this.#call("usage", undefined, waiting, async (wait) => {
      const snapshot = this.#metastore.get(key);
      return snapshot.kind === "active" ? await this.#scan(snapshot, wait) : snapshot.usage;
    });
  }

  /** Removes what is left over, here and at the mounter. */
  cleanup(waiting: WaitOptions = {}): Promise<void> {
    return this.#call("cleanup", undefined, waiting, async (wait) => {
      await Promise.all(this.#removals);
      const failures: unknown[] = [];
      // One that cannot be removed keeps nothing else from being given back.
      await this.#directories
        .removeAllBut(() => this.#metastore.idsWithDirectory())
        .catch((error: unknown) => failures.push(error));
      await this.#mounter.cleanup(wait);
      if (failures.length > 0) throw failures[0];
    });
  }

  /** Ends what waits, lets the rest come to its end, and closes. What is mounted stays. Twice is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new SociError("unavailable", "The snapshotter is closed"));
    // What runs may have begun something that is to end, too.
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
    await Promise.all(this.#removals);
    this.#metastore[Symbol.dispose]();
  }

  async #create(
    kind: "active" | "view",
    options: NewSnapshot,
    wait: WaitOptions,
  ): Promise<readonly Mount[]> {
    const ids = idMappingsOf(options.labels);
    const mapped: Owner | undefined =
      ids === undefined ? undefined : { uid: hostRootOf(ids.uids), gid: hostRootOf(ids.gids) };
    const snapshot = this.#metastore.create(kind, options, (id, parent) => {
      const owner = mapped ?? this.#ownerOf(parent);
      this.#directories.create(id, { hasWork: kind === "active", owner });
    });
    // containerd keeps its container over a power cut, but waits for no disk: it has others to start.
    this.#syncBehind();
    try {
      return await this.#stacks.mountsOf(snapshot, wait);
    } catch (error) {
      this.#undo(snapshot);
      throw error;
    }
  }

  #syncBehind(): void {
    const syncing = this.#metastore
      .sync()
      .catch((error: unknown) => {
        // The next one tries again; a committed snapshot waits for it.
        this.#log.error("new snapshots may be lost with the power", { error });
      })
      .finally(() => this.#running.delete(syncing));
    this.#running.add(syncing);
  }

  /** Takes back what was made for a call that fails. */
  #undo(snapshot: Snapshot): void {
    try {
      this.#discard(this.#metastore.remove(snapshot.name));
    } catch (error) {
      // What the call failed with says more; containerd removes a snapshot that it did not get.
      this.#log.warn("failed to take a snapshot back", { key: snapshot.name, error });
    }
  }

  /** The root directory of what is above belongs to whom that below does. */
  #ownerOf(parent: Snapshot | undefined): Owner | undefined {
    return parent === undefined || parent.layers !== undefined
      ? undefined
      : this.#directories.ownerOf(parent.id);
  }

  /** Lets go of what a row that is gone stood for. */
  #discard(snapshot: Snapshot): void {
    this.#mounter.release(holderOf(snapshot));
    try {
      this.#directories.takeAway(snapshot.id);
    } catch (error) {
      this.#log.warn("failed to take a snapshot's directory away", { key: snapshot.name, error });
    }
    // The snapshot is gone in any case; cleanup() tries again what fails here, and throws.
    this.#removeLater(() => this.#directories.removeGone());
  }

  #removeLater(remove: () => Promise<void>): void {
    const removal = remove()
      .catch((error: unknown) => {
        this.#log.warn("failed to remove directories of snapshots", { error });
      })
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  async #scan(snapshot: Snapshot, wait: WaitOptions): Promise<Usage> {
    const directory = this.#directories.fs(snapshot.id);
    try {
      return await diskUsage(directory, wait);
    } catch (cause) {
      wait.signal?.throwIfAborted();
      // Somebody may have removed it meanwhile.
      this.#metastore.get(snapshot.name);
      throw new SociError("data-loss", `Cannot measure "${directory}"`, { cause });
    }
  }

  async #call<T>(
    call: SnapshotterCall,
    key: string | undefined,
    { signal }: WaitOptions,
    work: (wait: WaitOptions) => Promise<T>,
  ): Promise<T> {
    const stop = this.#stop.signal;
    const wait = { signal: signal === undefined ? stop : AbortSignal.any([signal, stop]) };
    wait.signal.throwIfAborted();
    const started = performance.now();
    const running = key === undefined ? work(wait) : this.#locks.run(key, () => work(wait), wait);
    this.#running.add(running);
    let failed = true;
    try {
      const result = await running;
      failed = false;
      return result;
    } finally {
      this.#running.delete(running);
      this.#events.called?.(call, (performance.now() - started) / 1000, failed);
    }
  }
}
