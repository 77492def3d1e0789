import { basename, join } from "node:path";
import type { ChainMount } from "../../src/daemon/chain-mount.ts";
import { type StackKind, StackMounts } from "../../src/daemon/stack-mounts.ts";
import { SociError } from "../../src/errors.ts";
import { NO_LOG } from "../../src/observability/log.ts";

/** Kind of a stack that nothing is special about. */
export const PLAIN: StackKind = { xattrs: false, acls: false, ids: undefined };

/** A kind with a mapping, which has a mount of its own. */
export function mapped(hostId: number): StackKind {
  const map = [{ containerId: 0, hostId, length: 1 }];
  return { ...PLAIN, ids: { uids: map, gids: map } };
}

type Step = "open" | "add" | "remove" | "end" | "begin" | "leave";

interface FakeMount {
  readonly name: string;
  readonly gone: PromiseWithResolvers<void>;
  isEnded: boolean;
}

/**
 * StackMounts over mounts that are none: they write down what is asked of them, and fail as real ones
 * do when two of them meet on a directory.
 */
export class FakeChainMounts {
  /** `open plain`, `add plain <key>`, `remove plain <key>`, `end plain` … */
  readonly events: string[] = [];
  readonly mounts: StackMounts;
  /** Awaited in the middle of the next calls of that kind. */
  readonly gates = new Map<Step, Promise<void>>();
  /** Thrown by the next call of that kind. */
  readonly failures = new Map<Step, Error>();
  readonly #open = new Map<string, FakeMount>();

  constructor() {
    this.mounts = new StackMounts({
      directory: "/mnt",
      open: (directory) => this.#mount(directory),
      log: NO_LOG,
    });
  }

  /** Names of the mounts that there are. */
  get open(): readonly string[] {
    return [...this.#open.keys()];
  }

  /** As umount(8) would. */
  lose(name: string): void {
    const mount = this.#open.get(name);
    if (mount === undefined) throw new Error(`there is no mount ${name}`);
    this.#open.delete(name);
    mount.gone.resolve();
  }

  async #mount(directory: string): Promise<ChainMount> {
    const name = basename(directory).replace(/-[0-9a-f]{16}$/, "-ids");
    await this.#step("open", `open ${name}`);
    if (this.#open.has(name)) throw new Error(`two mounts on ${name}`);
    const mount: FakeMount = { name, gone: Promise.withResolvers(), isEnded: false };
    this.#open.set(name, mount);
    const chains = new Set<string>();
    const fake = {
      unmounted: mount.gone.promise,
      addChain: async (treeKey: string) => {
        await this.#step("add", `add ${name} ${treeKey}`);
        if (this.#open.get(name) !== mount) {
          throw new SociError("failed-precondition", "it is unmounted");
        }
        if (chains.has(treeKey)) throw new SociError("already-exists", "it is shown already");
        chains.add(treeKey);
        return join(directory, treeKey);
      },
      removeChain: async (treeKey: string) => {
        try {
          await this.#step("remove", `remove ${name} ${treeKey}`);
        } finally {
          // As a real one, which keeps nothing of it.
          chains.delete(treeKey);
        }
      },
      begin: async () => {
        await this.#step("begin", `begin ${name}`);
      },
      leave: async () => {
        mount.isEnded = true;
        await this.#step("leave", `leave ${name}`);
      },
      [Symbol.asyncDispose]: async () => {
        if (mount.isEnded) return;
        mount.isEnded = true;
        await this.#step("end", `end ${name}`);
        // umount(2) goes by the path, whoever is mounted there.
        this.#open.delete(name);
        mount.gone.resolve();
      },
    };
    return fake as unknown as ChainMount;
  }

  async #step(kind: Step, event: string): Promise<void> {
    this.events.push(event);
    await this.gates.get(kind);
    const failure = kind === "end" ? undefined : this.failures.get(kind);
    if (failure === undefined) return;
    this.failures.delete(kind);
    throw failure;
  }
}
