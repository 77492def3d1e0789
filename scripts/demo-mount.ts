import { rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openLiveDirectory } from "../src/cache/live-directory.ts";
import { MOUNT_TYPE, unmountImage } from "../src/daemon/unmount-image.ts";
import { isKind, SociError } from "../src/errors.ts";
import { sysClose } from "../src/sys/libc.ts";
import { mountFuse } from "../src/sys/mount-fuse.ts";
import { findMount } from "../src/sys/mountinfo.ts";
import { unmountFuse } from "../src/sys/unmount-fuse.ts";
import { endProcessesOf, lastingProcessesOf } from "./demo-processes.ts";

const MAX_READ = 1 << 20;

/** Why nothing can be mounted on this machine, in one line; undefined when it can: it was tried. */
export async function whyNoMounts(directory: string): Promise<string | undefined> {
  try {
    sysClose(
      await mountFuse({
        directory,
        source: "sociable-demo",
        maxRead: MAX_READ,
        allowOther: false,
      }),
    );
  } catch (error) {
    const isMachine = isKind(
      error,
      "permission-denied",
      "unsupported",
      "unavailable",
      "failed-precondition",
    );
    if (!isMachine) throw error;
    return [error.message, error.hint].filter((text) => text !== undefined).join("; ");
  }
  await unmountFuse(directory, { force: true });
  return undefined;
}

export interface MountPlaceOptions {
  /** Where the image is mounted: a directory without symlinks on the way. */
  readonly directory: string;
  /** The state root of the program that serves the mount. No other process is given it. */
  readonly root: string;
  readonly signal: AbortSignal;
}

/**
 * A directory on which `sociable mount --detach` mounts. An abort breaks the connection at once, so
 * that nobody waits for it any more. Disposing takes away, whatever has happened, the mount, its
 * process and what that has in shared memory.
 */
export class MountPlace implements AsyncDisposable {
  readonly directory: string;
  readonly #root: string;
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => {
    // Disposing tries again, and says what is wrong.
    this.#broken = this.#breakOff().catch(() => undefined);
  };
  #broken: Promise<void> | undefined;

  constructor({ directory, root, signal }: MountPlaceOptions) {
    this.directory = directory;
    this.#root = root;
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Resolves when the process that served the mount has ended. @throws internal when it does not */
  async ended(): Promise<void> {
    const left = await lastingProcessesOf(this.#root);
    if (left.length === 0) return;
    throw new SociError(
      "internal",
      `Cannot go on: process ${left.join(", ")} is still there, want the end of the mount to end it`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal.removeEventListener("abort", this.#onAbort);
    await this.#broken;
    await this.#breakOff();
    await endProcessesOf(this.#root);
    // It may have been about to mount.
    await this.#breakOff();
    const cache = join(this.#root, "cache");
    const live = existsSync(cache) ? openLiveDirectory(cache) : undefined;
    if (live !== undefined) await rm(live, { recursive: true, force: true });
  }

  async #breakOff(): Promise<void> {
    if ((await findMount(this.directory))?.type !== MOUNT_TYPE) return;
    try {
      await unmountImage(this.directory, { force: true });
    } catch (error) {
      // Its process was faster.
      if (!isKind(error, "not-found")) throw error;
    }
  }
}
