import { randomBytes } from "node:crypto";
import { KeeperLink } from "../../daemon/keeper-link.ts";
import { type HeldConnection, isConnectionEnded } from "../../keeper/held-connections.ts";
import { sweepKeepers } from "../../keeper/sweep-keepers.ts";
import { sysClose } from "../../sys/libc.ts";
import type { CommandContext } from "../command-context.ts";
import { type DetachedRun, environmentOfNext } from "../detach.ts";

export interface MountKeeperOptions {
  readonly run: DetachedRun;
  /** Of the mount, without symlinks. */
  readonly directory: string;
  /** How long the mount waits for the next process. */
  readonly timeoutMs: number;
}

export interface MountKeeper {
  readonly link: KeeperLink;
  /** What the process before has served; undefined when the mount is yet to be made. The caller's to close. */
  readonly taken: HeldConnection | undefined;
  /** There was to be such a mount, and there is none any more: nothing is left to do. */
  readonly isOver: boolean;
}

/**
 * The keeper of a mount in the background: a process that has its connection, and runs this command line
 * again when this process ends without having unmounted.
 */
export async function openMountKeeper(
  { io, root, log, services, argv }: CommandContext<unknown, unknown>,
  { run: { keeper, logFile }, directory, timeoutMs }: MountKeeperOptions,
): Promise<MountKeeper> {
  if (services.selfCommand === undefined) throw new Error("there is no program to start");
  // Whoever goes there while nobody serves it waits, and with it the keeper.
  const isHidden = `${io.cwd}/`.startsWith(`${directory}/`);
  const name = keeper ?? randomBytes(8).toString("hex");
  const link = new KeeperLink({
    root,
    name,
    self: services.selfCommand,
    timeoutMs,
    revival: { argv, cwd: isHidden ? "/" : io.cwd, env: environmentOfNext(io, name) },
    logFile,
    log,
  });
  if (keeper === undefined) {
    sweepKeepers(root);
    link.warm();
    return { link, taken: undefined, isOver: false };
  }
  const [taken, ...others] = await link.takeAll();
  for (const { fd } of others) sysClose(fd);
  const isOver = taken === undefined || isConnectionEnded(taken.fd);
  return { link, taken, isOver };
}
