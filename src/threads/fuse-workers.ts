import { SociError } from "../errors.ts";
import type { FuseNegotiated } from "../fuse/init.ts";
import type { Logger } from "../observability/log.ts";
import { errnoName } from "../sys/errno.ts";
import { sysClose, sysEventfd, sysWrite } from "../sys/libc.ts";
import type { FuseWorkerAnswer, FuseWorkerRequest, MountTable, ReadMiss } from "./fuse-messages.ts";
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
  readonly rootChain: number;
  readonly onMiss: (miss: ReadMiss) => void;
  readonly onInterrupt: (unique: bigint) => void;
  /** Gets what the threads have to say. */
  readonly log: Logger;
  readonly onDamage: (layer: number, damage: Damage) => void;
}

interface Thread {
  readonly port: FuseWorkerPort;
  readonly wakeFd: number;
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
  #isClosed = false;

  private constructor(options: FuseWorkersOptions) {
    this.#options = options;
    // Whoever does not ask how the mount ended has no use for its failure.
    this.#unmounted.promise.catch(() => undefined);
    this.#helpFd = newEventfd();
    this.#threads = options.ports.map((port, index) => this.#open(port, index > 0));
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

  /** Resolves when the file system has been unmounted; rejects when a thread fails. */
  get unmounted(): Promise<void> {
    return this.#unmounted.promise;
  }

  /** Ends the threads, each behind what it is answering. Twice is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const { port, wakeFd } of this.#threads) {
      port.postMessage({ kind: "stop" }, []);
      sysWrite(wakeFd, ONE);
    }
    await Promise.all(this.#threads.map(({ ended }) => ended.promise));
    for (const { port, wakeFd } of this.#threads) {
      port.terminate();
      sysClose(wakeFd);
    }
    sysClose(this.#helpFd);
  }

  #open(port: FuseWorkerPort, rests: boolean): Thread {
    const { fd, negotiated, tables, rootChain } = this.#options;
    const helpFd = this.#helpFd;
    const wakeFd = newEventfd();
    const thread: Thread = {
      port,
      wakeFd,
      ready: Promise.withResolvers(),
      ended: Promise.withResolvers(),
    };
    thread.ready.promise.catch(() => undefined);
    port.addEventListener("message", ({ data }) => this.#hear(thread, data));
    port.addEventListener("error", (event) => {
      this.#fail(thread, new Error(`FUSE thread failed: ${event.message}`, { cause: event.error }));
    });
    port.postMessage(
      { kind: "start", fd, wakeFd, helpFd, rests, negotiated, tables, rootChain },
      [],
    );
    return thread;
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
      case "failed":
        this.#fail(thread, errorOf(answer.error));
        return;
      case "unmounted":
        this.#unmounted.resolve();
        thread.ended.resolve();
        thread.ready.resolve();
        return;
      case "stopped":
        thread.ended.resolve();
    }
  }

  #log({ level, message, fields, error }: Extract<FuseWorkerAnswer, { kind: "log" }>): void {
    const { log } = this.#options;
    log[level](message, error === undefined ? fields : { ...fields, error: errorOf(error) });
  }

  #fail(thread: Thread, error: Error): void {
    thread.ready.reject(error);
    this.#unmounted.reject(error);
    thread.ended.resolve();
  }
}

function newEventfd(): number {
  const fd = sysEventfd();
  if (fd < 0) throw new SociError("internal", `Cannot make an eventfd: ${errnoName(-fd)}`);
  return fd;
}
