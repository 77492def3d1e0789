import { SociError } from "../errors.ts";
import type { FuseNegotiated } from "../fuse/init.ts";
import type { Logger } from "../observability/log.ts";
import { notifyInvalEntry } from "../fuse/replies.ts";
import { errnoName } from "../sys/errno.ts";
import { sysClose, sysEventfd, sysWrite } from "../sys/libc.ts";
import type { IdMappings } from "../lazyfs/id-map.ts";
import type { MountFeatures } from "../lazyfs/mount-features.ts";
import type {
  ChainName,
  FuseWorkerAnswer,
  FuseWorkerChange,
  FuseWorkerRequest,
  MountRoot,
  MountTable,
  ReadMiss,
  ThreadJournal,
} from "./fuse-messages.ts";
import type { Damage } from "../cache/layer-reader.ts";
import type { WorkerPort } from "./worker-conversation.ts";
import { errorOf } from "./ztoc-messages.ts";

export type FuseWorkerPort = WorkerPort<FuseWorkerRequest, FuseWorkerAnswer>;

export interface FuseWorkersOptions {
  /** Threads, started or to be started; they are ended by this. */
  readonly ports: readonly FuseWorkerPort[];
  /**
   * The connection's only descriptor; it stays the caller's. Clones would be no faster, and when a
   * server dies the kernel fails what was read from its clones, where nobody else holds them.
   */
  readonly fd: number;
  readonly negotiated: FuseNegotiated;
  readonly tables: readonly MountTable[];
  readonly root: MountRoot;
  /** Default: what the tables have. */
  readonly features?: MountFeatures | undefined;
  readonly ids?: IdMappings | undefined;
  /** A file for what is read and not answered, and what the server before has left there. */
  readonly journal?: LeftRequests | undefined;
  readonly onMiss: (miss: ReadMiss) => void;
  readonly onInterrupt: (unique: bigint) => void;
  /** Gets what the threads have to say. */
  readonly log: Logger;
  readonly onDamage: (layer: number, damage: Damage) => void;
}

export interface LeftRequests {
  /** Undefined where there is no room for it. */
  readonly path: string | undefined;
  readonly left: readonly Uint8Array[];
}

/** More to show in a directory of chains. `mtimeMs`, which grows, becomes the directory's. */
export interface AddedTables {
  readonly tables: readonly MountTable[];
  readonly names: readonly ChainName[];
  readonly mtimeMs: number;
}

/** What is to go. */
export interface GoneTables {
  readonly names: readonly string[];
  /** Numbers. */
  readonly tables: readonly number[];
  readonly mtimeMs: number;
}

export interface ReadCounts {
  readonly count: number;
  readonly bytes: number;
}

interface Thread {
  readonly port: FuseWorkerPort;
  readonly wakeFd: number;
  /** Messages behind the first. */
  readonly sent: Int32Array;
  /** Reads that it has answered from the cache, and their bytes. */
  readonly counts: Float64Array;
  /** What it has been told and not answered. */
  readonly changes: Map<number, PromiseWithResolvers<void>>;
  readonly ready: PromiseWithResolvers<void>;
  readonly ended: PromiseWithResolvers<void>;
}

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** The threads that answer the kernel. */
export class FuseWorkers implements AsyncDisposable {
  readonly #options: FuseWorkersOptions;
  readonly #helpFd: number;
  readonly #threads: readonly Thread[];
  readonly #unmounted = Promise.withResolvers<void>();
  #changes = 0;
  #isClosed = false;
  /** One of the threads has. */
  #isEnded = false;

  private constructor(options: FuseWorkersOptions) {
    this.#options = options;
    // Whoever does not ask how the mount ended has no use for its failure.
    this.#unmounted.promise.catch(() => undefined);
    this.#helpFd = newEventfd();
    this.#threads = options.ports.map((port, index) => this.#open(port, index));
  }

  /** Starts to serve; resolves when all threads do. */
  static async start(options: FuseWorkersOptions): Promise<FuseWorkers> {
    const workers = new FuseWorkers(options);
    try {
      await Promise.all(workers.#threads.map(({ ready }) => ready.promise));
      return workers;
    } catch (error) {
      await workers[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What was read that the cache had, so far. */
  get reads(): ReadCounts {
    let [count, bytes] = [0, 0];
    for (const { counts } of this.#threads) {
      count += counts[0] ?? 0;
      bytes += counts[1] ?? 0;
    }
    return { count, bytes };
  }

  /** Resolves when the file system has been unmounted; rejects when a thread fails. */
  get unmounted(): Promise<void> {
    return this.#unmounted.promise;
  }

  /**
   * Shows more; resolves when every thread does. Descriptors of the tables may be closed then. When one
   * thread cannot, none does. @throws failed-precondition when the mount has ended
   */
  async add({ tables, names, mtimeMs }: AddedTables): Promise<void> {
    try {
      await this.#change((change) => ({ kind: "add", change, tables, names, mtimeMs }));
    } catch (error) {
      const gone = {
        names: names.map(({ name }) => name),
        tables: tables.map(({ table }) => table),
      };
      // Where there is nobody any more there is nothing to take back.
      await this.remove({ ...gone, mtimeMs }).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Shows less; resolves when no thread reads those tables any more, and their last missed reads have
   * been told. @throws failed-precondition when the mount has ended
   */
  async remove({ names, tables, mtimeMs }: GoneTables): Promise<void> {
    await this.#change((change) => ({ kind: "remove", change, names, tables, mtimeMs }));
  }

  /**
   * Has the kernel forget a name that remove() has taken away, and all that it knows below it. Whoever
   * looks at the directory meanwhile is answered. @throws failed-precondition when the mount has ended
   */
  async forget(parent: number, name: string): Promise<void> {
    // The kernel waits for whoever has the directory locked, who waits for a thread that serves.
    const free = this.#threads.slice(1, 2);
    if (free.length === 0) notifyInvalEntry(this.#options.fd, parent, Buffer.from(name));
    await this.#change((change) => ({ kind: "forget", change, parent, name }), free);
  }

  /** Ends the threads, each behind what it is answering. Twice is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const thread of this.#threads) {
      this.#tell(thread, { kind: "stop" });
    }
    await Promise.all(this.#threads.map(({ ended }) => ended.promise));
    for (const { port, wakeFd } of this.#threads) {
      port.terminate();
      sysClose(wakeFd);
    }
    sysClose(this.#helpFd);
  }

  #open(port: FuseWorkerPort, index: number): Thread {
    const { fd, negotiated, tables, root, features, ids, journal } = this.#options;
    const helpFd = this.#helpFd;
    const wakeFd = newEventfd();
    const sent = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const counts = new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT);
    const thread: Thread = {
      port,
      wakeFd,
      sent: new Int32Array(sent),
      counts: new Float64Array(counts),
      changes: new Map(),
      ready: Promise.withResolvers(),
      ended: Promise.withResolvers(),
    };
    thread.ready.promise.catch(() => undefined);
    port.addEventListener("message", ({ data }) => this.#hear(thread, data));
    port.addEventListener("error", (event) => {
      this.#fail(thread, new Error(`FUSE thread failed: ${event.message}`, { cause: event.error }));
    });
    const part: ThreadJournal | undefined =
      journal === undefined
        ? undefined
        : { path: journal.path, thread: index, left: index === 0 ? journal.left : [] };
    const served = { tables, root, features, ids, counts, journal: part };
    const rests = index > 0;
    port.postMessage({ kind: "start", fd, wakeFd, helpFd, rests, negotiated, sent, ...served }, []);
    return thread;
  }

  /** In this order: a thread that has not handled what it was sent goes to its messages, not to sleep. */
  #tell({ port, sent, wakeFd }: Thread, request: FuseWorkerRequest): void {
    Atomics.add(sent, 0, 1);
    port.postMessage(request, []);
    sysWrite(wakeFd, ONE);
  }

  async #change(
    request: (change: number) => FuseWorkerChange,
    threads: readonly Thread[] = this.#threads,
  ): Promise<void> {
    const change = this.#changes++;
    const answers = threads.map((thread) => {
      const answer = Promise.withResolvers<void>();
      if (this.#isEnded || this.#isClosed) {
        answer.reject(ended());
        return answer.promise;
      }
      thread.changes.set(change, answer);
      this.#tell(thread, request(change));
      return answer.promise;
    });
    const outcomes = await Promise.allSettled(answers);
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  #hear(thread: Thread, answer: FuseWorkerAnswer): void {
    switch (answer.kind) {
      case "miss":
        this.#options.onMiss(answer);
        return;
      case "interrupt":
        this.#options.onInterrupt(answer.unique);
        return;
      case "log":
        this.#log(answer);
        return;
      case "damaged":
        this.#options.onDamage(answer.layer, answer.damage);
        return;
      case "ready":
        thread.ready.resolve();
        return;
      case "changed":
        this.#changed(thread, answer);
        return;
      case "failed":
        this.#fail(thread, errorOf(answer.error));
        return;
      case "unmounted":
        this.#unmounted.resolve();
        thread.ready.resolve();
        this.#end(thread);
        return;
      case "stopped":
        this.#end(thread);
    }
  }

  #changed(
    thread: Thread,
    { change, error }: Extract<FuseWorkerAnswer, { kind: "changed" }>,
  ): void {
    const answer = thread.changes.get(change);
    thread.changes.delete(change);
    if (error === undefined) answer?.resolve();
    else answer?.reject(errorOf(error));
  }

  #end(thread: Thread): void {
    this.#isEnded = true;
    thread.ended.resolve();
    for (const answer of thread.changes.values()) answer.reject(ended());
    thread.changes.clear();
  }

  #log({ level, message, fields, error }: Extract<FuseWorkerAnswer, { kind: "log" }>): void {
    const { log } = this.#options;
    log[level](message, error === undefined ? fields : { ...fields, error: errorOf(error) });
  }

  #fail(thread: Thread, error: Error): void {
    thread.ready.reject(error);
    this.#unmounted.reject(error);
    this.#end(thread);
  }
}

function ended(): SociError {
  return new SociError("failed-precondition", "Cannot change what a mount shows: it has ended");
}

function newEventfd(): number {
  const fd = sysEventfd();
  if (fd < 0) throw new SociError("internal", `Cannot make an eventfd: ${errnoName(-fd)}`);
  return fd;
}
