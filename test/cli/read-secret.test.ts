import { describe, expect, test } from "bun:test";
import { join } from "node:path";

const MAIN = join(import.meta.dirname, "process-io-main.ts");
const PROMPT = "Secret: ";

/** Runs `ask` on a terminal of its own, types `keys` after the prompt, and gives what the terminal showed. */
async function ask(keys: Uint8Array | string): Promise<{ code: number; shown: string }> {
  let shown = "";
  const prompted = Promise.withResolvers<void>();
  await using terminal = new Bun.Terminal({
    data: (_terminal, bytes) => {
      shown += Buffer.from(bytes).toString();
      if (shown.includes(PROMPT)) prompted.resolve();
    },
  });
  // A terminal that is opened for a process does not control it yet: then there is no /dev/tty.
  const argv = ["setsid", "--ctty", "--wait", process.execPath, MAIN, "ask"];
  const child = Bun.spawn(argv, { terminal });
  await Promise.race([prompted.promise, child.exited]);
  terminal.write(keys);
  const code = await child.exited;
  // What the child wrote last may still be on its way.
  await Bun.sleep(50);
  return { code, shown };
}

describe("readSecret()", () => {
  test.each([
    { title: "a line", keys: "pass word\r", secret: "pass word" },
    { title: "a line ended by a line feed", keys: "password\n", secret: "password" },
    { title: "letters of several bytes", keys: "päß\r", secret: "päß" },
    { title: "what Backspace leaves", keys: "paß\x7f\x7fx\r", secret: "px" },
    { title: "no more than Backspace can remove", keys: "\x7f\x08a\r", secret: "a" },
    { title: "what comes after Ctrl-U", keys: "wrong\x15right\r", secret: "right" },
    { title: "what comes before Ctrl-D", keys: "end\x04", secret: "end" },
    { title: "nothing", keys: "\r", secret: "" },
  ])("reads $title, and shows none of it", async ({ keys, secret }) => {
    const { code, shown } = await ask(keys);
    expect(shown).toBe(`${PROMPT}\r\n<${secret}>\r\n`);
    expect(code).toBe(0);
  });

  test("ends with 130 at Ctrl-C, with the terminal as it was", async () => {
    const { code, shown } = await ask("secr\x03");
    expect(code).toBe(130);
    expect(shown).not.toContain("secr");
  });

  test("fails where there is no terminal", async () => {
    const child = Bun.spawn(["setsid", "--wait", process.execPath, MAIN, "ask"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    expect(await new Response(child.stderr).text()).toContain("there is no terminal");
    expect(await child.exited).toBe(1);
  });
});
