import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import { isErrno } from "../oci/fs-errors.ts";

// Below its root the Go snapshotter has `snapshotter/metadata.db`; somebody may name either directory.
const FOREIGN_FILES = ["snapshotter/metadata.db", "metadata.db"] as const;

/**
 * Refuses a root directory that holds the snapshots of the Go snapshotter: containerd would ask for
 * snapshots that are not ours to show. @throws failed-precondition
 */
export async function refuseForeignRoot(root: string): Promise<void> {
  for (const name of FOREIGN_FILES) {
    const file = join(root, name);
    if (!(await exists(file))) continue;
    throw new SociError(
      "failed-precondition",
      `Cannot use root directory "${root}": "${file}" holds snapshots of soci-snapshotter-grpc (Go), want a directory without`,
      {
        hint: `Remove the containers and images of that snapshotter (with it still running: "nerdctl --snapshotter soci image rm …" or "ctr image rm …"), stop it, unmount what is mounted below "${root}" and remove "${file}"; or choose another root directory`,
      },
    );
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
