import { mkdirSync, statfsSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { MNT_DETACH, sysMount, sysUmount } from "../../src/sys/libc.ts";

const FILLER = "filler";
const MiB = 1 << 20;

/** A file system of a size in memory, mounted at a directory that is made. Disposing unmounts it. */
export class SmallDisk implements Disposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static mount(path: string, bytes: number): SmallDisk {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const data = `size=${bytes},mode=700`;
    if (sysMount({ source: "tmpfs", target: path, type: "tmpfs", flags: 0, data }) < 0) {
      throw new Error(`no file system can be mounted at ${path}`);
    }
    return new SmallDisk(path);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Takes all room but so many bytes. */
  fill({ leave = 0 } = {}): void {
    for (let bytes = MiB; bytes >= 4096;) {
      if (this.freeBytes - bytes < leave) {
        bytes /= 2;
        continue;
      }
      try {
        writeFileSync(join(this.path, FILLER), Buffer.alloc(bytes, 1), { flag: "a" });
      } catch {
        bytes /= 2;
      }
    }
  }

  /** Ends fill(). */
  async empty(): Promise<void> {
    await rm(join(this.path, FILLER), { force: true });
  }

  [Symbol.dispose](): void {
    sysUmount(this.path, MNT_DETACH);
  }
}
