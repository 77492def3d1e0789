import { existsSync } from "node:fs";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { listMounts } from "../../src/sys/mountinfo.ts";
import { liveDirectoryOf } from "./mount-temp.ts";

/** What a daemon takes of its machine. */
export interface Footprint {
  /** Memory that is its own: RssAnon and RssShmem. */
  readonly ownMiB: number;
  readonly descriptors: number;
  readonly threads: number;
  /** Mounts below its root. */
  readonly mounts: number;
  /** Everything below its root that is not in a mount. */
  readonly files: number;
  /** What that takes on disk, without its database. */
  readonly fileKiB: number;
  readonly databaseKiB: number;
  /** Maps of layers in shared memory. */
  readonly liveFiles: number;
}

export async function footprintOf({
  pid,
  root,
}: {
  readonly pid: number;
  readonly root: string;
}): Promise<Footprint> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  const below = (await listMounts())
    .map(({ mountPoint }) => mountPoint)
    .filter((mountPoint) => mountPoint.startsWith(`${root}/`));
  const files = await walk(root, new Set(below));
  const isDatabase = (path: string): boolean => path.includes("snapshots.sqlite");
  const kib = (of: readonly { readonly kib: number }[]): number =>
    of.reduce((sum, file) => sum + file.kib, 0);
  const live = await liveDirectoryOf(root);
  return {
    ownMiB: Math.round((field("RssAnon") + field("RssShmem")) / 1024),
    descriptors: (await readdir(`/proc/${pid}/fd`)).length,
    threads: field("Threads"),
    mounts: below.length,
    files: files.length,
    fileKiB: kib(files.filter(({ path }) => !isDatabase(path))),
    databaseKiB: kib(files.filter(({ path }) => isDatabase(path))),
    liveFiles: existsSync(live) ? (await readdir(live)).length : 0,
  };
}

interface Walked {
  readonly path: string;
  readonly kib: number;
}

async function walk(directory: string, leaveOut: ReadonlySet<string>): Promise<Walked[]> {
  const found: Walked[] = [];
  for (const name of await readdir(directory).catch(() => [])) {
    const path = join(directory, name);
    const stats = await lstat(path).catch(() => undefined);
    if (stats === undefined) continue;
    found.push({ path, kib: stats.blocks / 2 });
    if (stats.isDirectory() && !leaveOut.has(path)) found.push(...(await walk(path, leaveOut)));
  }
  return found;
}
