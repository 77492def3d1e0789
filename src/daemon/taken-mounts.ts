import { isKind, SociError } from "../errors.ts";
import { type HeldConnection, isConnectionEnded } from "../keeper/held-connections.ts";
import type { Logger } from "../observability/log.ts";
import { sysClose } from "../sys/libc.ts";
import { listMounts, type MountInfo } from "../sys/mountinfo.ts";
import type { ChainRecord } from "./chain-record.ts";
import { endStaleMounts } from "./end-stale-mounts.ts";
import type { MountRecords } from "./mount-records.ts";

/** A mount that another process served, with all that is needed to go on. The descriptor is whose this is. */
export interface TakenMount {
  readonly fd: number;
  readonly record: ChainRecord;
}

export interface TakeMountsOptions {
  /** Below which the mounts of a daemon are, and nobody else's. */
  readonly directory: string;
  /** Takes what a keeper has, when nothing speaks against it; closed here, but for what is returned. */
  readonly takeHeld: () => Promise<readonly HeldConnection[]>;
  readonly records: MountRecords;
  readonly log: Logger;
}

export interface TakenMounts {
  /** By directory. */
  readonly mounts: ReadonlyMap<string, TakenMount>;
  /** Directories of mounts that could not be taken over and are gone: who used them must be started again. */
  readonly lost: ReadonlySet<string>;
}

/**
 * Looks which mounts of a daemon that has ended can be served further. The others are taken away, which
 * is said. @throws failed-precondition, with nothing changed and no keeper asked, when another version
 * has written of one; what takeHeld() throws
 */
export async function takeMounts(options: TakeMountsOptions): Promise<TakenMounts> {
  const { directory, takeHeld, records, log } = options;
  const there = topMounts(await listMounts(), directory);
  const recordsOf = new Map<MountInfo, ChainRecord | undefined>();
  for (const mount of there) recordsOf.set(mount, await recordOf(mount, records, log));
  const held = await takeHeld();
  const unclaimed = new Map(held.map((connection) => [connection.device, connection]));
  using closing = new DisposableStack();
  closing.defer(() => {
    for (const { fd } of unclaimed.values()) sysClose(fd);
  });
  const mounts = new Map<string, TakenMount>();
  const lost = new Set<string>();
  for (const [mount, record] of recordsOf) {
    const connection = unclaimed.get(mount.device);
    if (record === undefined || connection === undefined) continue;
    if (isConnectionEnded(connection.fd)) continue;
    mounts.set(mount.mountPoint, { fd: connection.fd, record });
  }
  for (const { mountPoint, device } of there) {
    if (mounts.has(mountPoint)) {
      unclaimed.delete(device);
      continue;
    }
    lost.add(mountPoint);
    await endStaleMounts(mountPoint, log);
  }
  return { mounts, lost };
}

/** FUSE mounts below a directory that can be seen, each once. */
function topMounts(mounts: readonly MountInfo[], directory: string): readonly MountInfo[] {
  const top = new Map<string, MountInfo>();
  for (const mount of mounts) {
    if (mount.mountPoint.startsWith(`${directory}/`) && /^fuse(?:\.|$)/.test(mount.type)) {
      top.set(mount.mountPoint, mount);
    }
  }
  return [...top.values()];
}

async function recordOf(
  { device, mountPoint }: MountInfo,
  records: MountRecords,
  log: Logger,
): Promise<ChainRecord | undefined> {
  try {
    const record = await records.readChains(device);
    if (record.directory === mountPoint && record.device === device) return record;
    log.error("record of a mount is of another one", { directory: mountPoint, device });
    return undefined;
  } catch (error) {
    if (isKind(error, "unsupported")) {
      throw new SociError(
        "failed-precondition",
        `Cannot take over mount "${mountPoint}": another version has made it`,
        { cause: error, hint: "Start that version again; its containers go on meanwhile" },
      );
    }
    if (!isKind(error, "not-found", "data-loss")) throw error;
    log.error("record of a mount cannot be used", { directory: mountPoint, device, error });
    return undefined;
  }
}
