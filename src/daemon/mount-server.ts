import type { IdMappings } from "../lazyfs/id-map.ts";
import type { MountFeatures } from "../lazyfs/mount-features.ts";
import type { Logger } from "../observability/log.ts";
import type { MountRoot, MountTable } from "../threads/fuse-messages.ts";
import {
  type AddedTables,
  type FuseWorkerPort,
  FuseWorkers,
  type GoneTables,
  type ReadCounts,
} from "../threads/fuse-workers.ts";
import {
  type AnsweredLayer,
  ReadAnswerer,
  type ReadAnswererOptions,
} from "../threads/read-answerer.ts";
import type { FuseConnection } from "./fuse-connection.ts";
import type { MountJournal } from "./mount-journal.ts";

export interface MountServerOptions {
  /** The server's, once it has started. */
  readonly connection: FuseConnection;
  /** Threads to answer the kernel, fresh; the server ends them. */
  readonly ports: readonly FuseWorkerPort[];
  readonly tables: readonly MountTable[];
  readonly root: MountRoot;
  /** Default: what the tables have. */
  readonly features?: MountFeatures | undefined;
  readonly ids?: IdMappings | undefined;
  /** Of which missed reads are answered, by table number. It may change, behind add() and before remove(). */
  readonly layers: ReadonlyMap<number, AnsweredLayer>;
  /** For a kernel that cannot be asked for what a server has left; it stays the caller's. */
  readonly journal?: MountJournal | undefined;
  /** A thread has found bytes of a layer damaged. */
  readonly onDamage: (layer: number, span: number) => void;
  readonly onAnswered?: ReadAnswererOptions["onAnswered"];
  readonly log: Logger;
}

/**
 * Serves a mount: the threads that answer the kernel, and what answers the reads that they cannot.
 * Nothing that it knows is not on disk: any process that has the descriptor and the tables can go on
 * where this one ends.
 */
export class MountServer implements AsyncDisposable {
  readonly #connection: FuseConnection;
  readonly #workers: FuseWorkers;
  readonly #answerer: ReadAnswerer;
  readonly #unmounted: Promise<void>;
  #isUnmounted = false;
  #disposed: Promise<void> | undefined;

  private constructor(connection: FuseConnection, workers: FuseWorkers, answerer: ReadAnswerer) {
    this.#connection = connection;
    this.#workers = workers;
    this.#answerer = answerer;
    this.#unmounted = workers.unmounted.then(() => {
      this.#isUnmounted = true;
    });
    // Whoever does not ask how the mount ended has no use for its failure.
    this.#unmounted.catch(() => undefined);
  }

  /** Resolves when all threads serve. */
  static async start(options: MountServerOptions): Promise<MountServer> {
    const { connection, ports, tables, root, features, ids, layers, onDamage, onAnswered, log } =
      options;
    const { journal } = options;
    const { fd, negotiated } = connection;
    await using cleanup = new AsyncDisposableStack();
    const answerer = cleanup.use(
      new ReadAnswerer({
        layers,
        maxRead: negotiated.maxRead,
        onAnswered,
        onReplied: journal === undefined ? undefined : (slot) => journal.release(slot),
        log,
      }),
    );
    const workers = await FuseWorkers.start({
      ports,
      fd,
      negotiated,
      tables,
      root,
      features,
      ids,
      journal,
      log,
      onMiss: (miss) => void answerer.answer(miss),
      onInterrupt: (unique) => answerer.interrupt(unique),
      onDamage: (layer, { span }) => onDamage(layer, span),
    });
    journal?.settle();
    cleanup.move();
    return new MountServer(connection, workers, answerer);
  }

  /** Resolves when it has been unmounted, by whomever; rejects when it cannot be served any more. */
  get unmounted(): Promise<void> {
    return this.#unmounted;
  }

  /** What was read that the cache had, so far. */
  get reads(): ReadCounts {
    return this.#workers.reads;
  }

  /** Shows more; resolves when every thread does. @throws failed-precondition when the mount has ended */
  async add(added: AddedTables): Promise<void> {
    await this.#workers.add(added);
  }

  /** Shows less; when it resolves nobody reads those tables any more, and nobody waits for a read of them. */
  async remove(gone: GoneTables): Promise<void> {
    try {
      await this.#workers.remove(gone);
    } finally {
      await Promise.all(gone.tables.map((table) => this.#answerer.drop(table)));
    }
  }

  /** Has the kernel forget a name that remove() has taken away. @throws failed-precondition when the mount has ended */
  async forget(parent: number, name: string): Promise<void> {
    await this.#workers.forget(parent, name);
  }

  /** Unmounts; one that is in use is detached, and whoever uses it gets errors. */
  async unmount(): Promise<void> {
    if (!this.#isUnmounted) await this.#connection.unmount();
  }

  /**
   * Ends the threads and leaves the mount as it is to the next process that has the connection, with
   * what is not answered: nobody is told anything.
   */
  async leave(): Promise<void> {
    this.#disposed ??= this.#leave();
    await this.#disposed;
  }

  async #leave(): Promise<void> {
    await using ending = new AsyncDisposableStack();
    // Behind the last thread that may write to it.
    ending.defer(() => this.#connection.leave());
    ending.use(this.#answerer);
    ending.use(this.#workers);
    this.#answerer.leaveAll();
  }

  /** Unmounts, ends the threads and closes the connection. Twice is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    await this.#disposed;
  }

  async #dispose(): Promise<void> {
    // Also when it cannot be unmounted; from the last to the first. A late reply would go to whatever
    // file has the descriptor's number then: so it is closed when all are given.
    await using ending = new AsyncDisposableStack();
    ending.defer(() => this.#connection.close());
    ending.use(this.#answerer);
    ending.use(this.#workers);
    // A read that waits would keep the mount in use.
    this.#answerer.interruptAll();
    await this.unmount();
  }
}
