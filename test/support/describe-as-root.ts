import { describe, test } from "bun:test";

/**
 * describe() for tests that mount overlays and binds. Where this is not root they are skipped and
 * their title says so.
 */
export function describeAsRoot(title: string, body: () => void): void {
  if (process.geteuid?.() === 0) {
    describe(title, body);
    return;
  }
  if (process.env["CI"] === "true") {
    test(title, () => {
      throw new Error("only root mounts");
    });
    return;
  }
  describe.skip(`${title} (skipped: only root mounts)`, body);
}
