import { statSync } from "node:fs";
import { dirname } from "node:path";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import { EINTR, errnoName } from "../sys/errno.ts";
import {
  EPOLL_EVENT_BYTES,
  EPOLLIN,
  epollData,
  sysClose,
  sysEpollAdd,
  sysEpollCreate,
  sysEpollWait,
} from "../sys/libc.ts";
import { acceptMessages, listenForMessages, peerOf } from "../sys/message-socket.ts";
import { receiveDescriptors, sendMessage } from "../sys/pass-descriptors.ts";
import { HeldConnections } from "./held-connections.ts";
import {
  decodeKeeperRequest,
  encodeKeeperReply,
  type HeldFacts,
  type KeeperReply,
  type KeeperRequest,
  MAX_MESSAGE_BYTES,
} from "./keeper-message.ts";
import type { Reviver } from "./reviver.ts";

export interface KeeperServerOptions {
  /** Of the socket; nothing may be there. */
  readonly path: string;
  /** How long what is held waits for a daemon, until a daemon says otherwise. */
  readonly timeoutMs: number;
  /** How long it waits for the first one, when nothing is held. */
  readonly graceMs?: number;
  /** Starts the next daemon, where nobody else does. */
  readonly reviver?: Reviver | undefined;
  readonly log: Logger;
}

const GRACE_MS = 10_000;
/** How often it looks, without a daemon, whether there is still something to keep. */
const LOOK_MS = 1_000;
/** How often it looks whether a daemon can be started. */
const REVIVE_LOOK_MS = 20;
/** A daemon that it has started and that ends before is one that dies at its start. */
const LIFE_MS = 1_000;
const MAX_CONNECTIONS = 64;
const EVENTS = 16;

/**
 * Keeps descriptors for daemons that come and go, and gives them back. It knows nothing of what is
 * behind them, and touches no path of a mount. All is done in one thread that sleeps in the kernel.
 */
export class KeeperServer implements Disposable {
  readonly #path: string;
  readonly #log: Logger;
  readonly #held = new HeldConnections();
  readonly #listener: number;
  readonly #epoll: number;
  readonly #events = new Uint8Array(EVENTS * EPOLL_EVENT_BYTES);
  readonly #view = new DataView(this.#events.buffer);
  readonly #connections = new Set<number>();
  readonly #reviver: Reviver | undefined;
  /** The connection of the daemon. */
  #lease: number | undefined;
  #leasedAt = 0;
  #timeoutMs: number;
  /** When all is given up, if there is no daemon. */
  #deadline: number;
  #graceUntil: number;

  constructor({ path, timeoutMs, graceMs = GRACE_MS, reviver, log }: KeeperServerOptions) {
    this.#path = path;
    this.#log = log;
    this.#reviver = reviver;
    this.#timeoutMs = timeoutMs;
    this.#graceUntil = performance.now() + graceMs;
    this.#deadline = performance.now() + timeoutMs;
    this.#listener = listenForMessages(path);
    this.#epoll = sysEpollCreate();
    this.#watch(this.#listener);
  }

  /** Whether a daemon is there. */
  get isLeased(): boolean {
    return this.#lease !== undefined;
  }

  /** Connections that are held. */
  get count(): number {
    return this.#held.count;
  }

  /**
   * Blocks until something happens, and handles it. False when there is nothing left to keep: nobody
   * comes any more, and what was held has been given up.
   */
  async step(): Promise<boolean> {
    const lookMs = this.#reviver === undefined ? LOOK_MS : REVIVE_LOOK_MS;
    const ready = sysEpollWait(this.#epoll, this.#events, this.isLeased ? -1 : lookMs);
    if (ready < 0 && ready !== -EINTR) {
      throw new SociError("internal", `Cannot wait for messages: ${errnoName(-ready)}`);
    }
    for (let i = 0; i < ready; i++) {
      const fd = epollData(this.#view, i);
      if (fd === this.#listener) this.#accept();
      else await this.#hear(fd);
    }
    if (this.isLeased) return true;
    this.#held.dropEnded();
    const now = performance.now();
    if (this.#held.count === 0) return now < this.#graceUntil && this.#isReachable();
    if (now < this.#deadline && this.#isReachable()) {
      this.#reviver?.revive(now);
      return true;
    }
    this.#log.error("no daemon has come: whoever uses its mounts gets errors from now on", {
      mounts: this.#held.count,
      waitedMs: this.#timeoutMs,
    });
    await this.#held.abortAll();
    return false;
  }

  /** Ends all that is held, as when nobody comes. */
  async giveUp(): Promise<void> {
    await this.#held.abortAll();
  }

  [Symbol.dispose](): void {
    for (const fd of this.#connections) sysClose(fd);
    this.#connections.clear();
    this.#held[Symbol.dispose]();
    sysClose(this.#epoll);
    sysClose(this.#listener);
  }

  #watch(fd: number): void {
    const failed = sysEpollAdd(this.#epoll, fd, { events: EPOLLIN, data: fd });
    if (failed < 0) {
      throw new SociError("internal", `Cannot wait for messages: ${errnoName(-failed)}`);
    }
  }

  #accept(): void {
    const fd = acceptMessages(this.#listener);
    if (fd === undefined) return;
    const { uid, pid } = peerOf(fd);
    const own = process.geteuid?.() ?? 0;
    if ((uid !== own && uid !== 0) || this.#connections.size >= MAX_CONNECTIONS) {
      this.#log.warn("connection is refused", { uid, pid, connections: this.#connections.size });
      sysClose(fd);
      return;
    }
    this.#connections.add(fd);
    this.#watch(fd);
  }

  /** One message of a connection, or its end. */
  async #hear(socket: number): Promise<void> {
    let descriptors: readonly number[] = [];
    try {
      const message = receiveDescriptors(socket, { maxBytes: MAX_MESSAGE_BYTES + 1 });
      if (message === undefined) return;
      descriptors = message.descriptors;
      if (message.bytes.length === 0) {
        this.#close(socket);
        return;
      }
      const request = decodeKeeperRequest(message.bytes);
      const [fd] = descriptors;
      if (request.kind === "put" && fd !== undefined && descriptors.length === 1) {
        this.#held.put({ fd, ...factsOf(request) });
        descriptors = [];
        this.#reply(socket, { kind: "done" });
        return;
      }
      await this.#answer(socket, request);
    } catch (error) {
      if (!(error instanceof SociError)) throw error;
      this.#refuse(socket, error);
    } finally {
      for (const fd of descriptors) sysClose(fd);
    }
  }

  async #answer(socket: number, request: KeeperRequest): Promise<void> {
    switch (request.kind) {
      case "put":
        this.#reply(socket, { kind: "refused", reason: "no descriptor came with it" });
        return;
      case "next": {
        const held = this.#held.next(request.after);
        if (held === undefined) this.#reply(socket, { kind: "end" });
        else this.#reply(socket, { kind: "held", ...factsOf(held) }, [held.fd]);
        return;
      }
      case "drop":
        this.#held.drop(request.device);
        break;
      case "lease":
        this.#lease = socket;
        this.#leasedAt = performance.now();
        this.#timeoutMs = request.timeoutMs;
        this.#reviver?.serves(peerOf(socket).pid);
        break;
      case "status": {
        const { isLeased } = this;
        const held = this.#held.count;
        this.#reply(socket, { kind: "status", pid: process.pid, held, isLeased });
        return;
      }
      case "abort":
        if (request.device === "") await this.#held.abortAll();
        else await this.#held.abort(request.device);
        break;
    }
    this.#reply(socket, { kind: "done" });
  }

  /** Whoever does not read what it has asked for is cut off: nobody else shall wait for it. */
  #reply(socket: number, reply: KeeperReply, descriptors: readonly number[] = []): void {
    try {
      if (sendMessage(socket, encodeKeeperReply(reply), descriptors)) return;
    } catch (error) {
      this.#log.debug("reply cannot be given", { error });
    }
    this.#close(socket);
  }

  #refuse(socket: number, error: SociError): void {
    this.#log.warn("message is refused", { error });
    if (error.kind === "unavailable") this.#close(socket);
    else this.#reply(socket, { kind: "refused", reason: error.message });
  }

  #close(socket: number): void {
    if (!this.#connections.delete(socket)) return;
    sysClose(socket);
    if (socket !== this.#lease) return;
    this.#lease = undefined;
    this.#held.resendAll();
    const now = performance.now();
    if (this.#reviver === undefined || now - this.#leasedAt >= LIFE_MS) {
      this.#reviver?.hasLived();
      this.#deadline = now + this.#timeoutMs;
    }
    // It has come and gone: with nothing to keep nobody else is waited for.
    this.#graceUntil = 0;
    this.#log.info("daemon is gone", { mounts: this.#held.count, waitMs: this.#timeoutMs });
  }

  /** Whether the state directory is still there, by which a daemon finds this. */
  #isReachable(): boolean {
    return statSync(dirname(this.#path), { throwIfNoEntry: false }) !== undefined;
  }
}

function factsOf({ device, directory, resends }: HeldFacts): HeldFacts {
  return { device, directory, resends };
}
