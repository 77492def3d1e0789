import { expect, test } from "bun:test";
import { cpuSecondsOf, memoryOf, privateBytesOf } from "./process-figures.ts";

test("cpuSecondsOf() is what the process itself is told", () => {
  const before = process.cpuUsage();
  const seconds = cpuSecondsOf(process.pid);
  const after = process.cpuUsage();
  const own = (usage: NodeJS.CpuUsage): number => (usage.user + usage.system) / 1e6;
  expect(seconds).toBeGreaterThan(own(before) - 0.05);
  expect(seconds).toBeLessThan(own(after) + 0.05);
});

test("memoryOf() counts children", async () => {
  const child = Bun.spawn([process.execPath, "-e", "process.stdin.resume(); console.log('up')"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    await child.stdout.getReader().read();
    const own = privateBytesOf(memoryOf(child.pid));
    expect(own).toBeGreaterThan(0);
    expect(privateBytesOf(memoryOf(process.pid))).toBeGreaterThan(own);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
});

test("memoryOf() of a process that has ended is nothing", async () => {
  const child = Bun.spawn(["true"]);
  await child.exited;
  expect(memoryOf(child.pid)).toEqual({ anonBytes: 0, shmemBytes: 0, fileBytes: 0 });
});
