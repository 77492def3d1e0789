import { readlink, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { SociError } from "../../errors.ts";
import { unmountImage } from "../../daemon/unmount-image.ts";
import { defineCommand } from "../command.ts";

export const unmountCommand = defineCommand({
  name: "unmount",
  summary: "Unmount images that `sociable mount` mounted",
  description:
    "The process that served the mount ends by itself; what it fetched stays in the cache. Plain umount(8) does the same. A mount that is in use is left alone, unless --force: then whoever still uses it gets errors, and nobody waits for a registry that does not answer.",
  examples: [
    { command: "sociable unmount /mnt/app", explanation: "End a mount" },
    {
      command: "sociable unmount --force /mnt/app",
      explanation: "End a mount that is in use, or whose process hangs or was killed",
    },
  ],
  args: [{ name: "dir", required: true, repeatable: true, description: "Directories to unmount" }],
  flags: {
    force: {
      type: "boolean",
      short: "f",
      description: "Also when it is in use: break the connection, then detach the directory",
    },
  },
  async run({ args, flags, io, signal }) {
    const failures: unknown[] = [];
    for (const dir of args.dir) {
      signal.throwIfAborted();
      try {
        await unmountImage(await placeOf(resolve(io.cwd, dir)), {
          force: flags.force,
          signal,
        });
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) {
      throw new SociError(
        "failed-precondition",
        `Cannot unmount ${failures.length} of ${args.dir.length} directories`,
        { cause: new AggregateError(failures, "several directories") },
      );
    }
  },
});

const MAX_LINKS = 40;

/** Without symlinks. The mount itself is not asked: its process may be dead or hang. */
async function placeOf(path: string, links = 0): Promise<string> {
  if (path === "/") return path;
  const place = join(await realpath(dirname(path)), basename(path));
  // A directory is refused (EINVAL) before its file system is asked.
  const target = await readlink(place).catch(() => undefined);
  if (target === undefined || links === MAX_LINKS) return place;
  return await placeOf(resolve(dirname(place), target), links + 1);
}
