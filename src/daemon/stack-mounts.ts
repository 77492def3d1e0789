import { createHash } from "node:crypto";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { IdMappings } from "../snapshotter/layer-mounter.ts";
import type { ChainMount } from "./chain-mount.ts";
import type { ServedLayerLease } from "./served-layers.ts";

/** What a FUSE mount must be asked to do for the chains that it shows. */
export interface StackKind {
  /** Some node has extended attributes: else the kernel is told once that there are none. */
  readonly xattrs: boolean;
  /** Some node has a POSIX ACL. */
  readonly acls: boolean;
  readonly ids: IdMappings | undefined;
}

export interface ShownStack {
  readonly treeKey: string;
  readonly treePath: string;
  /** Bottom first; they stay the caller's, and open as long as the stack is shown. */
  readonly layers: readonly ServedLayerLease[];
  readonly kind: StackKind;
}

export interface StackMountsOptions {
  /** Below which each kind has a mount of its own. */
  readonly directory: string;
  readonly open: (directory: string, kind: StackKind) => Promise<ChainMount>;
  readonly log: Logger;
}

interface Mounted {
  readonly mount: Promise<ChainMount>;
  /** Keys of stacks that are shown, or are about to be: as long as there are any, the mount stays. */
  readonly wanted: Set<string>;
  readonly shown: Set<string>;
}

/** The FUSE mounts of a daemon: one for each kind of stack that there is, made when it is first needed. */
export class StackMounts implements AsyncDisposable {
  readonly #options: StackMountsOptions;
  readonly #mounts = new Map<string, Mounted>();
  /** Mounts that are being taken away: their directories are free only behind that. */
  readonly #ending = new Map<string, Promise<void>>();
  #isDisposed = false;

  constructor(options: StackMountsOptions) {
    this.#options = options;
  }

  /** Stacks that are shown. */
  get count(): number {
    let count = 0;
    for (const { shown } of this.#mounts.values()) count += shown.size;
    return count;
  }

  /**
   * The directory that shows a stack, ready. Once for each key and kind until hide().
   * @throws unavailable when this is disposed of; what opening a mount and adding a chain throw
   */
  async show({ treeKey, treePath, layers, kind }: ShownStack): Promise<string> {
    if (this.#isDisposed) {
      throw new SociError("unavailable", "Cannot show layers: the daemon is about to end");
    }
    const mounted = this.#mountOf(kind);
    mounted.wanted.add(treeKey);
    try {
      const mount = await mounted.mount;
      const path = await mount.addChain(treeKey, treePath, layers);
      mounted.shown.add(treeKey);
      return path;
    } catch (error) {
      mounted.wanted.delete(treeKey);
      await this.#endIfIdle(kind, mounted);
      throw error;
    }
  }

  /** Whether a stack that was shown still is. */
  isShown({ treeKey, kind }: Pick<ShownStack, "treeKey" | "kind">): boolean {
    return this.#mounts.get(nameOf(kind))?.shown.has(treeKey) ?? false;
  }

  /**
   * Serves the mounts that were taken over, with the stacks that are shown by now. One that cannot be
   * served is taken away, which is said.
   */
  async begin(): Promise<void> {
    await Promise.all(
      [...this.#mounts].map(async ([key, mounted]) => {
        try {
          await (await mounted.mount).begin();
        } catch (error) {
          this.#options.log.error("file system cannot be served further", { mount: key, error });
          await this.#end(key, mounted);
        }
      }),
    );
  }

  /** Leaves mounts that show a stack to the next process, and ends the others. Nothing can be shown any more. */
  async leave(): Promise<void> {
    this.#isDisposed = true;
    await Promise.all(
      [...this.#mounts].map(async ([key, mounted]) => {
        if (mounted.shown.size === 0) return;
        // What the mount says behind that is nobody's to hear.
        this.#mounts.delete(key);
        await (await mounted.mount).leave();
      }),
    );
    await this[Symbol.asyncDispose]();
  }

  /** Takes a stack away; nobody reads its layers for it when this resolves. A mapping's mount goes with its last stack. */
  async hide({ treeKey, kind }: Pick<ShownStack, "treeKey" | "kind">): Promise<void> {
    const key = nameOf(kind);
    const mounted = this.#mounts.get(key);
    if (mounted === undefined || !mounted.shown.has(treeKey)) {
      // Of a mount that was lost the layers are read until its threads have ended.
      await this.#ending.get(key);
      return;
    }
    mounted.shown.delete(treeKey);
    try {
      await (await mounted.mount).removeChain(treeKey);
    } finally {
      mounted.wanted.delete(treeKey);
    }
    await this.#endIfIdle(kind, mounted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    for (const [key, mounted] of [...this.#mounts]) void this.#end(key, mounted);
    while (this.#ending.size > 0) await Promise.all(this.#ending.values());
  }

  #mountOf(kind: StackKind): Mounted {
    const key = nameOf(kind);
    const there = this.#mounts.get(key);
    if (there !== undefined) return there;
    const { directory, log } = this.#options;
    const mount = this.#open(key, kind);
    const mounted: Mounted = { mount, wanted: new Set(), shown: new Set() };
    this.#mounts.set(key, mounted);
    mount.then(
      ({ unmounted }) =>
        unmounted.then(
          () => this.#lost(key, mounted),
          () => this.#lost(key, mounted),
        ),
      (error: unknown) => {
        log.error("file system cannot be mounted", { directory: join(directory, key), error });
        if (this.#mounts.get(key) === mounted) this.#mounts.delete(key);
      },
    );
    return mounted;
  }

  async #open(key: string, kind: StackKind): Promise<ChainMount> {
    const { directory, open } = this.#options;
    await this.#ending.get(key);
    return await open(join(directory, key), kind);
  }

  /** Somebody has unmounted it: the next stack gets a new one. */
  #lost(key: string, mounted: Mounted): void {
    if (this.#mounts.get(key) !== mounted) return;
    this.#options.log.error("file system was unmounted under us", { mount: key });
    void this.#end(key, mounted);
  }

  /** A mapping is one container's, or that of a few. */
  async #endIfIdle(kind: StackKind, mounted: Mounted): Promise<void> {
    const key = nameOf(kind);
    if (kind.ids === undefined || mounted.wanted.size > 0) return;
    if (this.#mounts.get(key) === mounted) await this.#end(key, mounted);
  }

  #end(key: string, mounted: Mounted): Promise<void> {
    this.#mounts.delete(key);
    const end = async (): Promise<void> => {
      // One that could not be opened is none to end, which has been said.
      const mount = await mounted.mount.catch(() => undefined);
      await mount?.[Symbol.asyncDispose]();
    };
    const ending = end()
      .catch((error: unknown) => {
        this.#options.log.error("file system cannot be unmounted", { mount: key, error });
      })
      .finally(() => {
        if (this.#ending.get(key) === ending) this.#ending.delete(key);
      });
    this.#ending.set(key, ending);
    return ending;
  }
}

/** `plain`, `xattrs` or `acls`; with a mapping, its digest behind. */
function nameOf({ xattrs, acls, ids }: StackKind): string {
  const kind = acls ? "acls" : xattrs ? "xattrs" : "plain";
  if (ids === undefined) return kind;
  const digest = createHash("sha256").update(JSON.stringify(ids)).digest("hex");
  return `${kind}-${digest.slice(0, 16)}`;
}
