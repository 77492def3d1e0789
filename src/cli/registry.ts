import type { CommandGroup } from "./registry-entry.ts";

/** The one list of commands. A test holds each summary against the command's own. */
export const commandRegistry: CommandGroup = {
  summary: "Build, push, inspect and read SOCI indexes of container images",
  commands: {
    version: {
      summary: "Print version, commit and Bun's version",
      load: async () => (await import("./commands/version.ts")).versionCommand,
    },
  },
};
