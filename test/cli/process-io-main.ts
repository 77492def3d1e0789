// A process like main.ts with commands that show what processIo() does; started by process-io.test.ts.
import { Interrupt } from "../../src/cli/cli-io.ts";
import { defineCommand } from "../../src/cli/command.ts";
import { processIo } from "../../src/cli/process-io.ts";
import { runCli } from "../../src/cli/run-cli.ts";

const CHUNK = Buffer.alloc(1 << 16, "0123456789abcdef");

const commands = {
  /** Writes without end. */
  flood: defineCommand({
    name: "flood",
    summary: "Write without end",
    examples: [{ command: "sociable flood", explanation: "Flood" }],
    args: [],
    flags: {},
    async run({ io }) {
      for (;;) await io.stdout.write(CHUNK);
    },
  }),
  /** Copies standard input to standard output. */
  copy: defineCommand({
    name: "copy",
    summary: "Copy standard input to standard output",
    examples: [{ command: "sociable copy", explanation: "Copy" }],
    args: [],
    flags: {},
    async run({ io }) {
      for await (const chunk of io.stdin) await io.stdout.write(chunk);
    },
  }),
  /** Asks for a secret and prints it in angle brackets. */
  ask: defineCommand({
    name: "ask",
    summary: "Ask for a secret",
    examples: [{ command: "sociable ask", explanation: "Ask" }],
    args: [],
    flags: {},
    async run({ io }) {
      const secret = await io.readSecret("Secret: ");
      await io.stdout.write(`<${secret}>\n`);
    },
  }),
  /** Says that it has started, then waits for the signal and cleans up. */
  wait: defineCommand({
    name: "wait",
    summary: "Wait for the signal",
    examples: [{ command: "sociable wait", explanation: "Wait" }],
    args: [],
    flags: {},
    async run({ io, signal }) {
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve(), { once: true });
      // An idle timer keeps the process alive, as a request under way would.
      const timer = setInterval(() => undefined, 1000);
      try {
        await io.stdout.write("started\n");
        await promise;
        signal.throwIfAborted();
      } finally {
        clearInterval(timer);
        io.stderr.write("cleaned up\n");
      }
    },
  }),
};

const interrupted = new AbortController();
process.on("SIGINT", () => interrupted.abort(new Interrupt("SIGINT")));
const code = await runCli(process.argv.slice(2), {
  io: processIo(interrupted.signal),
  services: {},
  registry: {
    summary: "Sample",
    commands: Object.fromEntries(
      Object.entries(commands).map(([name, command]) => [
        name,
        { summary: command.summary, load: async () => command },
      ]),
    ),
  },
});
process.exit(code);
