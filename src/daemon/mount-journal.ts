import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import {
  beginJournal,
  journalBytes,
  RequestJournal,
  unansweredIn,
} from "../fuse/request-journal.ts";
import type { Logger } from "../observability/log.ts";
import { errnoName } from "../sys/errno.ts";
import { sysFallocate } from "../sys/libc.ts";

export interface MountJournalOptions {
  /** The state root. */
  readonly root: string;
  /** Of the mount. */
  readonly device: string;
  readonly threads: number;
  readonly log: Logger;
}

/**
 * Requests of a mount that are read and not answered, in a file that outlives this process: for kernels
 * that cannot be asked for them. Not synced, as the mount ends with the boot.
 */
export class MountJournal implements Disposable {
  /** Undefined where there is no room for one: what is under way is lost then with this process. */
  readonly path: string | undefined;
  /** What servers before have left: to be answered, or put aside again, before settle(). */
  readonly left: readonly Uint8Array[];
  readonly #answers: RequestJournal | undefined;
  readonly #former: readonly string[];

  private constructor(options: MountJournalOptions, former: readonly string[]) {
    this.#former = former;
    this.left = former.flatMap((one) => unansweredIn(readFileSync(one)));
    const path = newPath(options);
    try {
      this.#answers = newJournal(path, options.threads);
      this.path = path;
    } catch (error) {
      rmSync(path, { force: true });
      options.log.error("journal of requests cannot be made: a kill would fail those under way", {
        path,
        error,
      });
    }
  }

  /** Of a new mount: what stands there of another one that had its device is nobody's. */
  static begin(options: MountJournalOptions): MountJournal {
    for (const path of journalsOf(options)) rmSync(path, { force: true });
    return new MountJournal(options, []);
  }

  /** Of a mount that was taken over. @throws unsupported when a newer version has written what is left */
  static takeOver(options: MountJournalOptions): MountJournal {
    return new MountJournal(options, journalsOf(options));
  }

  /** A read that was put aside has been answered. */
  release(slot: number): void {
    this.#answers?.release(slot);
  }

  /** All that was left is answered, or stands in this one. */
  settle(): void {
    for (const path of this.#former) rmSync(path, { force: true });
  }

  /** The mount is no more. */
  [Symbol.dispose](): void {
    this.settle();
    if (this.path !== undefined) rmSync(this.path, { force: true });
  }
}

function newJournal(path: string, threads: number): RequestJournal {
  const fd = openSync(path, "wx+", 0o600);
  try {
    // All of it now: a page that there is no room for would end the process that writes to it.
    const failed = sysFallocate(fd, 0, 0, journalBytes(threads));
    if (failed < 0) {
      throw new SociError("failed-precondition", `Cannot make "${path}": ${errnoName(-failed)}`);
    }
  } finally {
    closeSync(fd);
  }
  const memory = Bun.mmap(path);
  beginJournal(memory, threads);
  return new RequestJournal(memory, 0);
}

function directoryOf({ root }: MountJournalOptions): string {
  const directory = join(root, "mounts");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

function newPath(options: MountJournalOptions): string {
  const token = `${Date.now().toString(36)}${process.pid.toString(36)}`;
  return join(directoryOf(options), `${prefixOf(options)}${token}.journal`);
}

function journalsOf(options: MountJournalOptions): readonly string[] {
  const directory = directoryOf(options);
  return readdirSync(directory)
    .filter((name) => name.startsWith(prefixOf(options)) && name.endsWith(".journal"))
    .map((name) => join(directory, name));
}

function prefixOf({ device }: MountJournalOptions): string {
  return `${device.replace(":", "-")}.`;
}
