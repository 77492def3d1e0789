import { SociError } from "../../errors.ts";
import { runKeeper } from "../../keeper/run-keeper.ts";
import { defineCommand } from "../command.ts";

const NAME = /^[\w-]{1,64}$/;

/** Not for users: `serve` and `mount --detach` start it, and find it again. */
export const keeperCommand = defineCommand({
  name: "keeper",
  summary: "Hold mounts while their server is replaced",
  description:
    "Started by `sociable serve` and `sociable mount --detach`: holds the connections of their mounts, so that they outlive the process that serves them, and hands them to the next one, which for a mount by hand it starts itself. Ends by itself.",
  examples: [
    { command: "sociable keeper --root /var/lib/sociable", explanation: "As the daemon starts it" },
  ],
  args: [
    {
      name: "command",
      required: false,
      repeatable: true,
      description: "A command line of this program that serves what is held, when that has ended",
    },
  ],
  flags: {
    timeout: {
      type: "duration",
      valueName: "DURATION",
      default: 120_000,
      description: "How long mounts wait for the next server before whoever uses them gets errors",
    },
    name: {
      type: "string",
      valueName: "NAME",
      description: "Of one that is for a mount by hand, not for the daemon",
    },
    cwd: {
      type: "string",
      valueName: "DIR",
      default: "/",
      description: "Where COMMAND is started",
    },
  },
  async run({ args, flags, io, root, services, log }) {
    const { name, timeout, cwd } = flags;
    if (name !== undefined && !NAME.test(name)) {
      throw new SociError(
        "invalid-argument",
        `Cannot be keeper "${name}", want letters and digits`,
      );
    }
    const command = [...(services.selfCommand ?? []), ...args.command];
    await runKeeper({
      root,
      name,
      timeoutMs: timeout,
      revival: args.command.length === 0 ? undefined : { command, cwd, env: io.env },
      log,
    });
  },
});
