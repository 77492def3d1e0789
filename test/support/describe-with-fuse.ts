import { describe, test } from "bun:test";
import { existsSync } from "node:fs";

/**
 * describe() for tests that mount. Without /dev/fuse they are skipped and their title says so. Where
 * only the rights are missing that is a failure in continuous integration, as it would go unseen.
 */
export function describeWithFuse(title: string, body: () => void): void {
  const hasDevice = existsSync("/dev/fuse");
  const isRoot = process.geteuid?.() === 0;
  if (hasDevice && isRoot) {
    describe(title, body);
    return;
  }
  const reason = hasDevice ? "only root mounts" : "this machine has no /dev/fuse";
  if (hasDevice && process.env["CI"] === "true") {
    test(title, () => {
      throw new Error(reason);
    });
    return;
  }
  describe.skip(`${title} (skipped: ${reason})`, body);
}
