import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import { errnoName } from "../sys/errno.ts";
import { MNT_DETACH, sysMount, sysUmount } from "../sys/libc.ts";

/**
 * Tries whether containers can be given an overlay whose upper layer lies below `root`, and whether
 * this process may mount at all. @throws failed-precondition, with the Go snapshotter's words
 */
export function checkSupported(root: string): void {
  const place = mkdtempSync(join(root, "check-"));
  try {
    for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(place, name));
    const target = join(place, "merged");
    const result = sysMount({
      source: "overlay",
      target,
      type: "overlay",
      flags: 0,
      data: ["lower", "upper", "work"]
        .map((name) => `${name}dir=${escaped(join(place, name))}`)
        .join(","),
    });
    if (result < 0) {
      throw new SociError(
        "failed-precondition",
        `snapshotter is not supported: cannot mount an overlay below "${root}": ${errnoName(-result)}`,
        {
          hint: "It takes root, a kernel with overlayfs, and a file system that can be under one (ext4, or xfs with ftype=1)",
        },
      );
    }
    sysUmount(target, MNT_DETACH);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** Characters that end a path in overlayfs's options. */
function escaped(path: string): string {
  return path.replace(/[\\:,]/g, "\\$&");
}
