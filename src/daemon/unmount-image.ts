import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { findMount } from "../sys/mountinfo.ts";
import { unmountFuse } from "../sys/unmount-fuse.ts";

export interface UnmountImageOptions extends WaitOptions {
  /** Also when it is in use. */
  readonly force?: boolean;
  /** Of the only mount that is meant, as `0:52`: one that has been mounted over it is left alone. */
  readonly device?: string;
  /** Of the mount that is meant. */
  readonly type?: MountType;
}

/** How our mounts are called in the table of mounts; the second as tools know the Go snapshotter's. */
export const MOUNT_TYPES = ["fuse.sociable", "fuse.rawBridge"] as const;
export type MountType = (typeof MOUNT_TYPES)[number];
export const MOUNT_TYPE: MountType = "fuse.sociable";

// A process that was just ended may hold a file for a moment; so may a read that nobody waits for.
const RETRIES = 10;
const RETRY_MS = 20;

/**
 * Ends a mount of ours, without a look into it. Its process ends by itself. @throws not-found when
 * there is none at `directory` (absolute, without symlinks), failed-precondition when it is in use
 */
export async function unmountImage(
  directory: string,
  { force = false, device, type = MOUNT_TYPE, signal }: UnmountImageOptions = {},
): Promise<void> {
  for (let retry = 0; ; retry++) {
    await checkMount(directory, type, device);
    try {
      await unmountFuse(directory, { force });
      return;
    } catch (error) {
      if (!(error instanceof SociError) || error.kind !== "failed-precondition") throw error;
      if (retry === RETRIES) {
        throw new SociError("failed-precondition", `Cannot unmount "${directory}": it is in use`, {
          cause: error,
          hint: "fuser -vm DIR shows by whom; --force unmounts all the same",
        });
      }
    }
    await delay(RETRY_MS, { signal });
  }
}

async function checkMount(
  directory: string,
  type: MountType,
  device: string | undefined,
): Promise<void> {
  const mount = await findMount(directory);
  if (mount?.type !== type) {
    const found = mount === undefined ? "nothing is mounted there" : `it is of type ${mount.type}`;
    throw new SociError("not-found", `Cannot unmount "${directory}": ${found}, want ${type}`);
  }
  if (device !== undefined && mount.device !== device) {
    throw new SociError(
      "not-found",
      `Cannot unmount "${directory}": the mount there is ${mount.device}, want ${device}`,
    );
  }
}
