import { type Command, defineCommand } from "../../src/cli/command.ts";
import { writeJson } from "../../src/cli/output.ts";
import type { CommandGroup } from "../../src/cli/registry-entry.ts";

/** A command with a flag of every type and all kinds of arguments: prints what it was given. */
export const echoCommand = defineCommand({
  name: "echo",
  summary: "Print the parsed command line",
  description: "For tests.\n\nTwo paragraphs.",
  examples: [{ command: "sociable echo alpine", explanation: "One argument" }],
  args: [
    { name: "image", required: true, description: "An image" },
    { name: "path", required: false, repeatable: true, description: "Files" },
  ],
  flags: {
    "span-size": {
      type: "bytes",
      valueName: "SIZE",
      default: 4_194_304,
      min: 1,
      description: "Bytes in a span",
    },
    jobs: { type: "integer", valueName: "N", min: 1, max: 64, short: "j", description: "Threads" },
    timeout: { type: "duration", valueName: "TIME", default: 30_000, description: "Patience" },
    platform: {
      type: "string",
      valueName: "OS/ARCH",
      multiple: true,
      short: "p",
      description: "Platforms",
    },
    output: { type: "string", valueName: "FILE", short: "o", description: "Where to" },
    compression: {
      type: "choice",
      choices: ["gzip", "zstd"],
      description: "Format",
    },
    json: { type: "boolean", description: "As JSON" },
    force: { type: "boolean", short: "f", description: "Even if" },
  },
  async run({ args, flags, io }) {
    await writeJson(io.stdout, { args, flags });
  },
});

/** A registry of one command whose run is given. */
export function registryOf(run: Command["run"]): CommandGroup {
  return {
    summary: "Sample",
    commands: {
      go: {
        summary: "Run the test's function",
        load: async () => ({
          name: "go",
          summary: "Run the test's function",
          examples: [{ command: "sociable go", explanation: "Go" }],
          args: [],
          flags: {},
          run,
        }),
      },
    },
  };
}

export const sampleRegistry: CommandGroup = {
  summary: "Sample commands",
  commands: {
    echo: { summary: echoCommand.summary, load: async () => echoCommand },
    list: { summary: "List things", aliases: ["ls"], load: async () => echoCommand },
    index: {
      summary: "Work on indexes",
      commands: {
        echo: { summary: echoCommand.summary, load: async () => echoCommand },
        remove: { summary: "Remove", aliases: ["rm"], load: async () => echoCommand },
      },
    },
    broken: {
      summary: "Cannot be loaded",
      load: () => Promise.reject(new Error("must not be loaded")),
    },
  },
};
