import { delay } from "../async/delay.ts";
import { isKind, SociError } from "../errors.ts";
import type { HeldConnection } from "../keeper/held-connections.ts";
import { KeeperClient, type KeeperLease, type KeeperStatus } from "../keeper/keeper-client.ts";
import { keeperPidOf } from "../keeper/keeper-lock.ts";
import { type KeeperPaths, keeperPaths } from "../keeper/keeper-paths.ts";
import { type KeeperOptions, startKeeper } from "../keeper/start-keeper.ts";
import { takeByProcess } from "../keeper/take-by-process.ts";
import type { Logger } from "../observability/log.ts";
import { sysClose } from "../sys/libc.ts";
import type { ConnectionKeeper } from "./fuse-connection.ts";

export interface KeeperLinkOptions extends KeeperOptions {
  readonly log: Logger;
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 30_000;
/** How long an end waits for a keeper that is being started. */
const SETTLING_MS = 5_000;
const ENDING_MS = 2_000;

/**
 * A daemon's side of the keeper: what the one before has left there, and a copy of every connection of
 * this one, for the next. When the keeper dies another one gets them. Without one the daemon works as
 * well, but its mounts end with it, which is said.
 */
export class KeeperLink implements ConnectionKeeper, AsyncDisposable {
  readonly #options: KeeperLinkOptions;
  readonly #paths: KeeperPaths;
  readonly #client: KeeperClient;
  readonly #log: Logger;
  /** What the keeper is to have; the descriptors are their owners'. */
  readonly #kept = new Map<string, HeldConnection>();
  /** Devices that it has, as far as we know. */
  readonly #held = new Map<string, HeldConnection | undefined>();
  readonly #ended = new AbortController();
  #lease: KeeperLease | undefined;
  #reconnecting: Promise<void> | undefined;
  /** Calls, one after another: what is dropped must not be put behind that. */
  #work: Promise<void> = Promise.resolve();

  constructor(options: KeeperLinkOptions) {
    this.#options = options;
    this.#paths = keeperPaths(options.root, options.name);
    this.#client = new KeeperClient(this.#paths.socket);
    this.#log = options.log;
  }

  /** Whether there is a keeper, which has all that is to be kept: the mounts outlive this process. */
  get isKeeping(): boolean {
    return this.#lease !== undefined;
  }

  /**
   * What the daemon before has left: descriptors that are the caller's from now on. The keeper holds
   * them too, and goes on counting the time, until connect(). What is not kept by then it closes.
   */
  async takeAll(): Promise<readonly HeldConnection[]> {
    const taken = await this.#take();
    for (const { device } of taken) this.#held.set(device, undefined);
    return taken;
  }

  /** Has the keeper's process start, if there is none, while other things are done. */
  warm(): void {
    startKeeper({ ...this.#options, signal: this.#ended.signal }).catch((error: unknown) => {
      this.#log.debug("keeper of mounts cannot be started yet", { error });
    });
  }

  /** Has a keeper from now on, until this is disposed of; resolves when there is one, or cannot be for now. */
  async connect(): Promise<void> {
    try {
      await this.#run(() => this.#connect());
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      this.#log.error("there is no keeper: mounts will not outlive this daemon", { error });
      this.#reconnect(FIRST_RETRY_MS);
    }
  }

  async keep(connection: HeldConnection): Promise<void> {
    this.#kept.set(connection.device, connection);
    await this.#adjust();
  }

  async forget(device: string): Promise<void> {
    this.#kept.delete(device);
    await this.#adjust();
  }

  /** Waits, for a moment, for a keeper that is being started. */
  async settled(): Promise<void> {
    const { signal } = this.#ended;
    await Promise.race([
      this.#reconnecting ?? Promise.resolve(),
      delay(SETTLING_MS, { signal }).catch(() => undefined),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new DOMException("the daemon ends", "AbortError"));
    await this.#reconnecting;
    await this.#work;
    const lease = this.#lease;
    this.#lease = undefined;
    lease?.[Symbol.dispose]();
  }

  async #take(): Promise<readonly HeldConnection[]> {
    try {
      return await this.#client.takeAll();
    } catch (error) {
      if (!(error instanceof SociError)) throw error;
      const { lock } = this.#paths;
      const pid = keeperPidOf(lock);
      if (pid === undefined) {
        // None was there, or it died with what it had while it was asked.
        if (!isKind(error, "not-found", "unavailable")) throw error;
        return [];
      }
      this.#log.warn("keeper of mounts cannot be asked and is replaced", { pid, error });
      const taken = takeByProcess(pid).map((one) => ({ ...one, directory: "/", resends: false }));
      try {
        await endKeeper(pid, lock);
      } catch (failure) {
        closeAll(taken);
        throw failure;
      }
      return taken;
    }
  }

  /** Makes the keeper have what it is to have. When it cannot, another one is started, behind the call. */
  async #adjust(): Promise<void> {
    // Whoever connects looks at it all.
    if (this.#lease === undefined) return;
    try {
      await this.#run(() => this.#give());
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      this.#log.warn("keeper of mounts does not answer", { error });
      this.#loseLease();
    }
  }

  async #connect(): Promise<void> {
    const { signal } = this.#ended;
    signal.throwIfAborted();
    const { pid } = await this.#start();
    const lease = await this.#client.lease(this.#options.timeoutMs);
    try {
      await this.#give();
    } catch (error) {
      lease[Symbol.dispose]();
      throw error;
    }
    this.#lease = lease;
    this.#log.debug("keeper has all mounts", { pid, mounts: this.#kept.size });
    lease.ended
      .then(() => {
        if (this.#lease !== lease) return;
        this.#log.error("keeper of mounts has ended; another one is started", {
          mounts: this.#kept.size,
        });
        this.#loseLease();
      })
      .catch((error: unknown) => this.#log.error("keeper of mounts is lost", { error }));
  }

  /** One that does not answer, or speaks another version, is replaced: all that it is to have we have. */
  async #start(): Promise<KeeperStatus> {
    const options = { ...this.#options, signal: this.#ended.signal };
    try {
      return await startKeeper(options);
    } catch (error) {
      const { lock } = this.#paths;
      const pid = keeperPidOf(lock);
      if (pid === undefined || !isKind(error, "unavailable", "unsupported", "data-loss"))
        throw error;
      this.#log.warn("keeper of mounts cannot be asked and is replaced", { pid, error });
      await endKeeper(pid, lock);
      return await startKeeper(options);
    }
  }

  async #give(): Promise<void> {
    for (;;) {
      const gone = [...this.#held.keys()].find((device) => !this.#kept.has(device));
      const next = [...this.#kept.values()].find((one) => this.#held.get(one.device) !== one);
      if (gone !== undefined) {
        await this.#client.drop(gone);
        this.#held.delete(gone);
      } else if (next !== undefined) {
        await this.#client.put(next);
        this.#held.set(next.device, next);
      } else {
        return;
      }
    }
  }

  #loseLease(): void {
    const lease = this.#lease;
    this.#lease = undefined;
    this.#held.clear();
    lease?.[Symbol.dispose]();
    this.#reconnect(0);
  }

  #reconnect(afterMs: number): void {
    this.#reconnecting ??= this.#reconnectAfter(afterMs).finally(() => {
      this.#reconnecting = undefined;
    });
  }

  async #reconnectAfter(afterMs: number): Promise<void> {
    const { signal } = this.#ended;
    let wait = afterMs;
    while (!signal.aborted) {
      try {
        await delay(wait, { signal });
        await this.#run(() => this.#connect());
        this.#log.info("there is a keeper of mounts again", { mounts: this.#kept.size });
        return;
      } catch (error) {
        if (!signal.aborted) this.#log.warn("keeper of mounts cannot be started", { error });
      }
      wait = Math.min(2 * wait + FIRST_RETRY_MS, MAX_RETRY_MS);
    }
  }

  #run(work: () => Promise<void>): Promise<void> {
    const running = this.#work.then(work);
    this.#work = running.catch(() => undefined);
    return running;
  }
}

/** Ends a keeper; what it held we have. @throws unavailable when it does not end */
async function endKeeper(pid: number, lock: string): Promise<void> {
  process.kill(pid, "SIGKILL");
  const deadline = performance.now() + ENDING_MS;
  while (keeperPidOf(lock) === pid) {
    if (performance.now() > deadline) {
      throw new SociError(
        "unavailable",
        `Cannot end process ${pid}, a keeper that does not answer`,
      );
    }
    await Bun.sleep(1);
  }
}

/** Closes descriptors that nobody takes. */
export function closeAll(connections: readonly Pick<HeldConnection, "fd">[]): void {
  for (const { fd } of connections) sysClose(fd);
}
