import { runKeeper } from "../../keeper/run-keeper.ts";
import { defineCommand } from "../command.ts";

/** Not for users: `serve` starts it, and finds it again. */
export const keeperCommand = defineCommand({
  name: "keeper",
  summary: "Hold mounts while their daemon is replaced",
  description:
    "Started by `sociable serve`: holds the connections of its mounts, so that they outlive it, and hands them to the next one. Ends by itself.",
  examples: [
    { command: "sociable keeper --root /var/lib/sociable", explanation: "As the daemon starts it" },
  ],
  args: [],
  flags: {
    timeout: {
      type: "duration",
      valueName: "DURATION",
      default: 120_000,
      description: "How long mounts wait for the next daemon before whoever uses them gets errors",
    },
  },
  async run({ flags, root, signal, log }) {
    await runKeeper({ root, timeoutMs: flags.timeout, signal, log });
  },
});
