import { expect, test } from "bun:test";
import { runCommand } from "./run-command.ts";

const { signal } = new AbortController();

test("runCommand() resolves to what the command printed", async () => {
  const { stdout } = await runCommand(["echo", "hello"], { signal });
  expect(new TextDecoder().decode(stdout)).toBe("hello\n");
});

test("runCommand() counts the CPU time of a pipeline's processes", async () => {
  const spin = "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done";
  const { cpuSeconds } = await runCommand(["sh", "-c", `(${spin}) | cat`], { signal });
  expect(cpuSeconds).toBeGreaterThan(0.01);
});

test("runCommand() rejects with the exit code and standard error of a failure", async () => {
  const command = ["sh", "-c", "echo no such thing >&2; exit 3"];
  await expect(runCommand(command, { signal })).rejects.toThrow(/exit code 3.*no such thing/);
});

test("runCommand() takes an exit code that it was told of", async () => {
  const result = await runCommand(["sh", "-c", "exit 1"], { signal, accepted: [0, 1] });
  expect(result.stdout).toHaveLength(0);
});

test("runCommand() kills the whole pipeline on an abort, and rejects with the reason", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const running = runCommand(["sh", "-c", "sleep 60 | sleep 60"], { signal: controller.signal });
  setTimeout(() => controller.abort(reason), 100);
  // Its pipes only end when both sleepers are dead.
  await expect(running).rejects.toBe(reason);
});
