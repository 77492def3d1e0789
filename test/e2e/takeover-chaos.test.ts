import { join } from "node:path";
import { expect, test } from "bun:test";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { runProgram } from "../support/sociable-binary.ts";

const PATIENCE_MS = 180_000;
const CHAOS = join(import.meta.dirname, "../../scripts/chaos.ts");
const SHORT = ["--kills", "12", "--seed", "7", "--large", "3000000"];

describeMounts(CONTAINERD_PROGRAMS, "a server that is killed at random moments", () => {
  test.each([
    { title: "with the kernel's help", flags: [] },
    { title: "where the kernel cannot be asked again", flags: ["--no-resend"] },
    { title: "when it is a detached mount's", flags: ["--detached"] },
  ])(
    "fails no call of programs, and gives no wrong byte, $title",
    async ({ flags }) => {
      const { code, stdout, stderr } = await runProgram([
        process.execPath,
        CHAOS,
        ...SHORT,
        ...flags,
      ]);
      const said = `${Buffer.from(stdout).toString()}${stderr}`;
      expect(said).toContain("failed or wrong: 0\n");
      expect(code).toBe(0);
    },
    PATIENCE_MS,
  );
});
