import { defineCommand } from "../command.ts";
import { writeJson } from "../output.ts";
import { VERSION_INFO, versionText } from "../version.ts";

export const versionCommand = defineCommand({
  name: "version",
  summary: "Print version, commit and Bun's version",
  examples: [
    { command: "sociable version", explanation: "One line, the same as sociable --version" },
    { command: "sociable version --json", explanation: "The same for scripts" },
  ],
  args: [],
  flags: {
    json: { type: "boolean", description: "Print a JSON object: version, commit, bun" },
  },
  async run({ flags, io }) {
    if (flags.json) await writeJson(io.stdout, VERSION_INFO);
    else await io.stdout.write(`${versionText()}\n`);
  },
});
