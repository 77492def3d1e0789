import { firstProblem } from "../../config/config.ts";
import { formatConfig } from "../../config/format-config.ts";
import { defineCommand } from "../command.ts";
import { CONFIG_FLAGS } from "../config-flags.ts";
import { readConfigFile } from "../config-file.ts";

export const configDumpCommand = defineCommand({
  name: "config dump",
  summary: "Print the configuration that the daemon would use",
  description:
    "The file with the defaults filled in, and what stands for another key settled. Each key is marked: honoured, mapped, or ignored with the reason.",
  examples: [
    {
      command: "sociable config dump --config ./config.toml",
      explanation: "See what a file comes to",
    },
  ],
  args: [],
  flags: CONFIG_FLAGS,
  async run({ flags, io }) {
    const read = await readConfigFile({ path: flags.config, personality: "sociable", io });
    const problem = firstProblem(read.file, read.problems);
    if (problem !== undefined) throw problem;
    await io.stdout.write(formatConfig(read.config, { marks: true }));
  },
});
