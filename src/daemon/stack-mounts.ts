import { createHash } from "node:crypto";
import { join } from "node:path";
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
  readonly shown: Set<string>;
}

/** The FUSE mounts of a daemon: one for each kind of stack that there is, made when it is first needed. */
export class StackMounts implements AsyncDisposable {
  readonly #options: StackMountsOptions;
  readonly #mounts = new Map<string, Mounted>();

  constructor(options: StackMountsOptions) {
    this.#options = options;
  }

  /** Stacks that are shown. */
  get count(): number {
    let count = 0;
    for (const { shown } of this.#mounts.values()) count += shown.size;
    return count;
  }

  /** The directory that shows a stack, ready. Once for each key and kind until hide(). */
  async show({ treeKey, treePath, layers, kind }: ShownStack): Promise<string> {
    const mounted = this.#mountOf(kind);
    const mount = await mounted.mount;
    const path = await mount.addChain(treeKey, treePath, layers);
    mounted.shown.add(treeKey);
    return path;
  }

  /** Whether a stack that was shown still is. */
  isShown({ treeKey, kind }: Pick<ShownStack, "treeKey" | "kind">): boolean {
    return this.#mounts.get(nameOf(kind))?.shown.has(treeKey) ?? false;
  }

  /** Takes a stack away. A mapping's mount goes with its last stack. */
  async hide({ treeKey, kind }: Pick<ShownStack, "treeKey" | "kind">): Promise<void> {
    const key = nameOf(kind);
    const mounted = this.#mounts.get(key);
    if (mounted === undefined) return;
    const mount = await mounted.mount;
    await mount.removeChain(treeKey);
    mounted.shown.delete(treeKey);
    if (kind.ids === undefined || mounted.shown.size > 0) return;
    this.#mounts.delete(key);
    await mount[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const mounts = [...this.#mounts.values()];
    this.#mounts.clear();
    for (const { mount } of mounts) {
      const opened = await mount.catch(() => undefined);
      await opened?.[Symbol.asyncDispose]();
    }
  }

  #mountOf(kind: StackKind): Mounted {
    const key = nameOf(kind);
    const there = this.#mounts.get(key);
    if (there !== undefined) return there;
    const { directory, open, log } = this.#options;
    const mount = open(join(directory, key), kind);
    const mounted: Mounted = { mount, shown: new Set() };
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

  /** Somebody has unmounted it: the next stack gets a new one. */
  #lost(key: string, mounted: Mounted): void {
    if (this.#mounts.get(key) !== mounted) return;
    this.#mounts.delete(key);
    this.#options.log.error("file system was unmounted under us", { mount: key });
  }
}

/** `plain`, `xattrs` or `acls`; with a mapping, its digest behind. */
function nameOf({ xattrs, acls, ids }: StackKind): string {
  const kind = acls ? "acls" : xattrs ? "xattrs" : "plain";
  if (ids === undefined) return kind;
  const digest = createHash("sha256").update(JSON.stringify(ids)).digest("hex");
  return `${kind}-${digest.slice(0, 16)}`;
}
