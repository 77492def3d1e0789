import { formatDefaults } from "../../config/format-config.ts";
import { defineCommand } from "../command.ts";

export const configDefaultCommand = defineCommand({
  name: "config default",
  summary: "Print the daemon's default configuration",
  description:
    "A TOML file with every key and what it does here: honoured; mapped, where something near it takes its place; ignored, with the reason. The names are those of soci-snapshotter-grpc, whose configuration file can be used as it is.",
  examples: [
    {
      command: "sociable config default",
      explanation: "See every key, its default and what it does",
    },
  ],
  args: [],
  flags: {},
  async run({ io }) {
    await io.stdout.write(formatDefaults("sociable", { marks: true }));
  },
});
