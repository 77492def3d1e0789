import { expect, test } from "bun:test";
import { cpuSecondsOf, memoryOf, privateBytesOf } from "./process-figures.ts";

test("cpuSecondsOf() is what the process itself is told", async () => {
  // Without children, whose time counts too once they have ended.
  const program =
    "const end = performance.now() + 200; while (performance.now() < end); process.stdin.resume(); const { user, system } = process.cpuUsage(); console.log((user + system) / 1e6)";
  const child = Bun.spawn([process.execPath, "-e", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    const { value } = await child.stdout.getReader().read();
    const told = Number(Buffer.from(value ?? []).toString());
    const seconds = cpuSecondsOf(child.pid);
    expect(told).toBeGreaterThan(0);
    expect(seconds).toBeGreaterThan(told - 0.05);
    expect(seconds).toBeLessThan(told + 0.2);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
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
