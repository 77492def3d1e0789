import { closeSync, fdatasync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { SociError } from "../errors.ts";
import { GroupSync } from "./group-sync.ts";

/**
 * The write-ahead log of an open database, to sync it without a wait of the thread that writes. What
 * was committed before (synchronous = NORMAL) is then as safe as with FULL: it is in the log, or in the
 * database, which SQLite syncs before it begins the log anew.
 */
export class WalFile implements Disposable {
  readonly #path: string;
  readonly #group = new GroupSync(() => this.#sync());
  #fd: number;

  /** `database` is open, in WAL mode and has been used. */
  constructor(database: string) {
    this.#path = `${database}-wal`;
    this.#fd = openSync(this.#path, "r+");
    try {
      // The log may be new, and its name must not be lost either.
      syncDirectory(dirname(database));
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** Resolves when all that was committed before this call is on disk. @throws internal when it cannot be */
  sync(): Promise<void> {
    return this.#group.run();
  }

  /** Twice is fine. Not while sync() is under way. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(this.#fd, (cause) => {
        if (cause === null || cause === undefined) {
          resolve();
        } else {
          reject(new SociError("internal", `Cannot sync "${this.#path}"`, { cause }));
        }
      });
    });
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
