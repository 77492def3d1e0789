import { randomUUID } from "node:crypto";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
} from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { EINVAL, ENOENT, errnoName } from "../sys/errno.ts";
import { MNT_DETACH, sysUmount, UMOUNT_NOFOLLOW } from "../sys/libc.ts";
import { listMounts } from "../sys/mountinfo.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface NewDirectory {
  /** Whether it is to be written through an overlay. */
  readonly hasWork: boolean;
  /** Of `fs`; else who runs this. */
  readonly owner?: Owner | undefined;
}

const NEW_PREFIX = "new-";
const GONE_PREFIX = "gone-";
const FS_MODE = 0o755;
const WORK_MODE = 0o711;

/**
 * `<root>/snapshots/<id>/{fs,work}`. A directory has its final name only when it is complete; what has
 * another name, or an id without a row, is left over and goes with removeAllBut().
 */
export class SnapshotDirectories {
  readonly #path: string;
  readonly #gone = new Set<string>();
  #removal = Promise.resolve();

  private constructor(path: string) {
    this.#path = path;
  }

  /** Makes `<root>/snapshots` (mode 0700) where it is not there. */
  static open(root: string): SnapshotDirectories {
    const path = join(root, "snapshots");
    mkdirSync(path, { recursive: true, mode: 0o700 });
    // Mounts are compared with what the kernel calls them.
    return new SnapshotDirectories(realpathSync(path));
  }

  fs(id: number): string {
    return join(this.#path, String(id), "fs");
  }

  work(id: number): string {
    return join(this.#path, String(id), "work");
  }

  /** Who owns `fs`. @throws data-loss when it is not there */
  ownerOf(id: number): Owner {
    try {
      const { uid, gid } = lstatSync(this.fs(id));
      return { uid, gid };
    } catch (cause) {
      throw new SociError(
        "data-loss",
        `Cannot use snapshot ${id}: its directory "${this.fs(id)}" is gone`,
        { cause },
      );
    }
  }

  /** Makes the directory of an id that nobody else has. @throws unavailable when the disk is full */
  create(id: number, { hasWork, owner }: NewDirectory): void {
    let made: string | undefined;
    try {
      made = mkdtempSync(join(this.#path, NEW_PREFIX));
      const fs = join(made, "fs");
      mkdirSync(fs);
      // Whatever the umask is.
      chmodSync(fs, FS_MODE);
      if (owner !== undefined) chownUnlessOwn(fs, owner);
      if (hasWork) {
        const work = join(made, "work");
        mkdirSync(work);
        chmodSync(work, WORK_MODE);
      }
      this.#place(made, join(this.#path, String(id)));
    } catch (cause) {
      if (made !== undefined) rmSync(made, { recursive: true, force: true });
      if (cause instanceof SociError) throw cause;
      const isFull = isErrno(cause, "ENOSPC", "EDQUOT");
      throw new SociError(
        isFull ? "unavailable" : "internal",
        `Cannot make the directory of snapshot ${id} in "${this.#path}"${isFull ? ": no room is left on its disk" : ""}`,
        { cause },
      );
    }
  }

  /** Takes the directory of an id away, if there is one; removeGone() removes it. */
  takeAway(id: number): void {
    const gone = this.#rename(String(id));
    if (gone !== undefined) this.#gone.add(gone);
  }

  /** Removes what was taken away; what is mounted in it is unmounted first. */
  removeGone(): Promise<void> {
    const removal = this.#removal.then(() => this.#removeEntries());
    this.#removal = removal.catch(() => undefined);
    return removal;
  }

  /** Removes whatever does not belong to one of these. `ids` is asked after the directory was read. */
  async removeAllBut(ids: () => ReadonlySet<number>): Promise<void> {
    const entries = await readdir(this.#path);
    const kept = new Set([...ids()].map(String));
    await this.#removeAll(entries.filter((entry) => !kept.has(entry)));
  }

  /** Removes what a process that was killed was making, or removing. */
  async removeUnfinished(): Promise<void> {
    const entries = await readdir(this.#path);
    await this.#removeAll(
      entries.filter((entry) => entry.startsWith(NEW_PREFIX) || entry.startsWith(GONE_PREFIX)),
    );
  }

  async #removeAll(entries: readonly string[]): Promise<void> {
    for (const entry of entries) {
      // Renamed at once: an id of these may be given again while the others are removed.
      const gone = entry.startsWith(GONE_PREFIX) ? entry : this.#rename(entry);
      if (gone !== undefined) this.#gone.add(gone);
    }
    await this.removeGone();
  }

  #rename(entry: string): string | undefined {
    const gone = `${GONE_PREFIX}${randomUUID()}`;
    try {
      renameSync(join(this.#path, entry), join(this.#path, gone));
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw new SociError("internal", `Cannot remove "${join(this.#path, entry)}"`, {
        cause: error,
      });
    }
    return gone;
  }

  // An id whose transaction did not get to its end is given again: what it left goes out of the way.
  #place(made: string, target: string): void {
    try {
      renameSync(made, target);
    } catch (error) {
      if (!isErrno(error, "ENOTEMPTY", "EEXIST", "ENOTDIR")) throw error;
      renameSync(target, join(this.#path, `${GONE_PREFIX}${randomUUID()}`));
      renameSync(made, target);
    }
  }

  async #removeEntries(): Promise<void> {
    if (this.#gone.size === 0) return;
    const entries = [...this.#gone];
    this.#gone.clear();
    const mountPoints = (await listMounts()).map(({ mountPoint }) => mountPoint);
    const failures: unknown[] = [];
    for (const entry of entries) {
      const path = join(this.#path, entry);
      try {
        unmountBelow(path, mountPoints);
        await rm(path, { recursive: true, force: true });
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) {
      throw new SociError(
        "internal",
        `Cannot remove ${failures.length} of ${entries.length} directories in "${this.#path}"`,
        { cause: failures[0] },
      );
    }
  }
}

/** So that nothing is removed through a mount. */
function unmountBelow(path: string, mountPoints: readonly string[]): void {
  // The last one first: it is the one on top.
  for (const mountPoint of mountPoints.toReversed()) {
    if (mountPoint !== path && !mountPoint.startsWith(`${path}/`)) continue;
    const failed = -sysUmount(mountPoint, UMOUNT_NOFOLLOW | MNT_DETACH);
    if (failed > 0 && failed !== EINVAL && failed !== ENOENT) {
      throw new SociError("internal", `Cannot unmount "${mountPoint}": ${errnoName(failed)}`);
    }
  }
}

function chownUnlessOwn(path: string, { uid, gid }: Owner): void {
  const own = lstatSync(path);
  if (own.uid !== uid || own.gid !== gid) chownSync(path, uid, gid);
}
