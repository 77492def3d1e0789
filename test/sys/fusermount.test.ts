import { expect, test } from "bun:test";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describeWithFuse } from "../support/describe-with-fuse.ts";
import { type ClientResult, runClient } from "../support/fuse-server.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const MAIN = join(import.meta.dirname, "fusermount-main.ts");
/** nobody: fusermount3 wants a user with a name. */
const USER = 65_534;
const PROGRAMS = ["fusermount3", "unshare", "setpriv", "mknod"];

const missing = PROGRAMS.filter((program) => Bun.which(program) === null);

/**
 * Runs fusermount-main.ts as a user without rights, in a mount namespace of its own: nothing it
 * mounts is seen elsewhere or outlives it, and there the user may open /dev/fuse.
 */
async function runAsUser(dir: TempDir, ...args: readonly string[]): Promise<ClientResult> {
  const setUp = [
    'mknod "$1/fuse" c 10 229',
    'chmod 0666 "$1/fuse"',
    'mount --bind "$1/fuse" /dev/fuse',
    "shift",
    `exec setpriv --reuid ${USER} --regid ${USER} --clear-groups "$@"`,
  ].join(" && ");
  await chmod(dir.path, 0o777);
  await mkdir(dir.join("mount"), { mode: 0o777 });
  await chmod(dir.join("mount"), 0o777);
  return await runClient([
    "unshare",
    "--mount",
    "sh",
    "-c",
    setUp,
    "sh",
    dir.path,
    process.execPath,
    MAIN,
    dir.join("mount"),
    ...args,
  ]);
}

if (missing.length > 0) {
  test.skip(`fusermount3 (skipped: ${missing.join(", ")} not installed)`, () => undefined);
} else {
  describeWithFuse("an ordinary user", () => {
    test("mounts, sees the mount, and unmounts through fusermount3", async () => {
      await using dir = await tempDir();
      const { stdout, stderr, code } = await runAsUser(dir, "a,suid,b\\ c");
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(JSON.parse(stdout)).toEqual({
        type: "fuse.sociable",
        source: "a,suid,b\\ c",
        isSafe: true,
        hello: "hello\n",
        isGone: true,
      });
    });
  });
}
