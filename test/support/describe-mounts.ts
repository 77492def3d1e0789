import { existsSync } from "node:fs";
import { describe, test } from "bun:test";
import { describeWith } from "./describe-with.ts";
import { MOUNTS_IMPOSSIBLE } from "./mount-process.ts";

/**
 * describe() for tests with real mounts and with other people's programs. Where there can be no mount
 * they are skipped, and their title says why; in continuous integration only for want of the device.
 */
export function describeMounts(programs: readonly string[], title: string, body: () => void): void {
  if (MOUNTS_IMPOSSIBLE === undefined) {
    describeWith(programs, title, body);
    return;
  }
  if (process.env["CI"] === "true" && existsSync("/dev/fuse")) {
    test(title, () => {
      throw new Error(MOUNTS_IMPOSSIBLE);
    });
    return;
  }
  describe.skip(`${title} (skipped: ${MOUNTS_IMPOSSIBLE})`, body);
}
