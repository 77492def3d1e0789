import { describe, expect, test } from "bun:test";
import { join } from "node:path";

const MAIN = join(import.meta.dirname, "process-io-main.ts");

function start(command: string) {
  return Bun.spawn([process.execPath, MAIN, command], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
}

/** Runs a shell line in which $SOCIABLE is the test's program. */
async function shell(line: string) {
  const child = Bun.spawn(["bash", "-c", line], {
    env: { ...process.env, SOCIABLE: `${process.execPath} ${MAIN}` },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

describe("processIo()", () => {
  test("ends quietly with 0 when the reader of standard output goes away", async () => {
    const { stdout, stderr } = await shell('$SOCIABLE flood | head -c 16; echo " $PIPESTATUS"');
    expect(stdout).toBe("0123456789abcdef 0\n");
    expect(stderr).toBe("");
  });

  test("fails when standard output cannot be written", async () => {
    const { code, stderr } = await shell("$SOCIABLE flood > /dev/full");
    expect(code).toBe(1);
    expect(stderr).toContain("Cannot write to standard output");
    expect(stderr).toContain("ENOSPC");
  });

  test("passes bytes from standard input to standard output unchanged", async () => {
    const input = new Uint8Array(3_000_001);
    for (let i = 0; i < input.length; i += 1) input[i] = (i * 31) ^ (i >> 8);
    const child = start("copy");
    child.stdin.write(input);
    const ended = child.stdin.end();
    const output = await new Response(child.stdout).bytes();
    expect(await child.exited).toBe(0);
    await ended;
    expect(Buffer.compare(output, input)).toBe(0);
  });

  test("writes everything through a non-blocking pipe that is read slowly", async () => {
    // Whoever shares our standard output may have made it so.
    const nonBlocking = "perl -MFcntl -e 'fcntl(STDOUT, F_SETFL, O_NONBLOCK)'";
    const line = `{ ${nonBlocking}; head -c 1000000 /dev/zero | $SOCIABLE copy; } | { sleep 0.2; wc -c; }`;
    const { stdout } = await shell(line);
    expect(stdout.trim()).toBe("1000000");
  });

  test("reads an empty standard input as no bytes", async () => {
    const { code, stdout } = await shell("$SOCIABLE copy < /dev/null");
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  });

  test("fails when standard input cannot be read", async () => {
    const { code, stderr } = await shell("$SOCIABLE copy < /");
    expect(code).toBe(1);
    expect(stderr).toContain("Cannot read standard input");
  });

  test("lets a command clean up on SIGINT and exits 130", async () => {
    const child = start("wait");
    const reader = child.stdout.getReader();
    await reader.read();
    child.kill("SIGINT");
    const stderr = await new Response(child.stderr).text();
    expect(await child.exited).toBe(130);
    expect(stderr).toBe("cleaned up\nsociable: Interrupted by SIGINT\n");
  });

  test("does not wait on SIGINT for a standard output that nobody reads", async () => {
    const child = start("flood");
    const reader = child.stdout.getReader();
    await reader.read();
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
  });

  test("does not wait on SIGINT for a standard input that stays silent", async () => {
    const child = start("copy");
    child.stdin.write("x");
    await child.stdin.flush();
    await child.stdout.getReader().read();
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
  });
});
