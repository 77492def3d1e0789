import { SociError } from "../errors.ts";
import { sysClose } from "../sys/libc.ts";
import { connectForMessages } from "../sys/message-socket.ts";
import { receiveDescriptors, sendMessage } from "../sys/pass-descriptors.ts";
import type { HeldConnection } from "./held-connections.ts";
import {
  decodeKeeperReply,
  encodeKeeperRequest,
  type KeeperReply,
  type KeeperRequest,
  MAX_MESSAGE_BYTES,
} from "./keeper-message.ts";

/** How long a keeper may take, which answers at once unless it is stopped. */
const PATIENCE_MS = 5_000;
const RETRY_MS = 1;
/** As many as it can hold, and some. */
const MAX_HELD = 4096;

export interface KeeperStatus {
  readonly pid: number;
  readonly held: number;
  readonly isLeased: boolean;
}

/** The right of a daemon to have what is held; given up when it is disposed of, or the process ends. */
export interface KeeperLease extends Disposable {
  /** Resolves when the keeper has ended, or cut us off; also when it is disposed of. */
  readonly ended: Promise<void>;
}

/**
 * Asks the keeper at a socket. Each call is a connection of its own, so that one that fails spoils no
 * other. All throw not-found when there is no keeper, unavailable when it does not answer, unsupported
 * when it speaks another version.
 */
export class KeeperClient {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async status(): Promise<KeeperStatus> {
    const { reply } = await this.#call({ kind: "status" });
    if (reply.kind !== "status") throw unexpected(reply);
    const { pid, held, isLeased } = reply;
    return { pid, held, isLeased };
  }

  /** Gives a copy of a descriptor. */
  async put({ fd, device, directory, resends }: HeldConnection): Promise<void> {
    await this.#done({ kind: "put", device, directory, resends }, [fd]);
  }

  async drop(device: string): Promise<void> {
    await this.#done({ kind: "drop", device });
  }

  /** Ends one connection, or all, so that nobody waits any more. */
  async abort(device?: string): Promise<void> {
    await this.#done({ kind: "abort", device: device ?? "" });
  }

  /** Copies of all that is held; the caller closes them. */
  async takeAll(): Promise<readonly HeldConnection[]> {
    const taken: HeldConnection[] = [];
    try {
      let after = "";
      while (taken.length < MAX_HELD) {
        const { reply, descriptors } = await this.#call({ kind: "next", after });
        const [fd] = descriptors;
        if (reply.kind === "end") return taken;
        if (reply.kind !== "held" || fd === undefined || reply.device <= after) {
          for (const stray of descriptors) sysClose(stray);
          throw unexpected(reply);
        }
        const { device, directory, resends } = reply;
        taken.push({ fd, device, directory, resends });
        after = reply.device;
      }
      throw new SociError("data-loss", `Cannot take over more than ${MAX_HELD} connections`);
    } catch (error) {
      for (const { fd } of taken) sysClose(fd);
      throw error;
    }
  }

  /** Says that a daemon is here; what is held waits for the next one so long after it has gone. */
  async lease(timeoutMs: number): Promise<KeeperLease> {
    const socket = connectForMessages(this.#path);
    try {
      const { reply } = await exchange(socket, { kind: "lease", timeoutMs });
      if (reply.kind !== "done") throw unexpected(reply);
    } catch (error) {
      sysClose(socket);
      throw error;
    }
    // Nothing comes on it any more but its end, of which the event loop tells.
    const reader = Bun.file(socket).stream().getReader();
    const ended = reader.read().then(
      () => undefined,
      () => undefined,
    );
    let isOpen = true;
    return {
      ended,
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        // The stream does not close it, and looks at it until it is told.
        reader
          .cancel()
          .catch(() => undefined)
          .finally(() => sysClose(socket));
      },
    };
  }

  async #done(request: KeeperRequest, descriptors: readonly number[] = []): Promise<void> {
    const { reply } = await this.#call(request, descriptors);
    if (reply.kind !== "done") throw unexpected(reply);
  }

  async #call(request: KeeperRequest, descriptors: readonly number[] = []): Promise<Exchanged> {
    const socket = connectForMessages(this.#path);
    try {
      return await exchange(socket, request, descriptors);
    } finally {
      sysClose(socket);
    }
  }
}

interface Exchanged {
  readonly reply: KeeperReply;
  readonly descriptors: readonly number[];
}

async function exchange(
  socket: number,
  request: KeeperRequest,
  given: readonly number[] = [],
): Promise<Exchanged> {
  if (!sendMessage(socket, encodeKeeperRequest(request), given)) throw silent();
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const message = receiveDescriptors(socket, { maxBytes: MAX_MESSAGE_BYTES + 1 });
    if (message !== undefined) {
      const { bytes, descriptors } = message;
      try {
        if (bytes.length === 0) throw silent();
        const reply = decodeKeeperReply(bytes);
        const wanted = reply.kind === "held" ? 1 : 0;
        if (descriptors.length !== wanted) throw unexpected(reply);
        return { reply, descriptors };
      } catch (error) {
        for (const fd of descriptors) sysClose(fd);
        throw error;
      }
    }
    if (performance.now() > deadline) throw silent();
    await Bun.sleep(RETRY_MS);
  }
}

function silent(): SociError {
  return new SociError("unavailable", "Cannot ask the keeper of mounts: it does not answer");
}

function unexpected(reply: KeeperReply): SociError {
  return reply.kind === "refused"
    ? new SociError("unsupported", `Cannot ask the keeper of mounts: ${reply.reason}`)
    : new SociError("data-loss", `Cannot ask the keeper of mounts: it answers "${reply.kind}"`);
}
