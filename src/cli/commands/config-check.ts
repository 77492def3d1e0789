import { findingText } from "../../config/config.ts";
import { SociError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { DEFAULT_CONFIG_FILES, readConfigFile } from "../config-file.ts";
import { writeJson } from "../output.ts";
import { safeText } from "../safe-text.ts";

export const configCheckCommand = defineCommand({
  name: "config check",
  summary: "Check a configuration file of the daemon",
  description:
    "Prints what is wrong in the file, and which keys are unknown or have no effect, each with its line. The exit code is 1 when the daemon would not take the file.",
  examples: [
    {
      command: "sociable config check /etc/soci-snapshotter-grpc/config.toml",
      explanation: "See whether a file of the Go snapshotter can be used as it is",
    },
  ],
  args: [
    {
      name: "file",
      required: false,
      description: `Configuration file; ${DEFAULT_CONFIG_FILES.sociable} by default`,
    },
  ],
  flags: {
    json: {
      type: "boolean",
      description: "Print a JSON object: file, errors and warnings with line, key and detail",
    },
  },
  async run({ args, flags, io }) {
    const path = args.file;
    const { file, isThere, problems, warnings } = await readConfigFile({
      path,
      personality: "sociable",
      io,
    });
    if (!isThere) {
      throw new SociError("not-found", `Cannot check "${file}": there is no such file`);
    }
    if (flags.json) {
      await writeJson(io.stdout, { file, errors: problems, warnings });
    } else {
      const lines = [
        ...problems.map((finding) => `error: ${findingText(file, finding)}`),
        ...warnings.map((finding) => `warning: ${findingText(file, finding)}`),
      ];
      await io.stdout.write(lines.map((line) => `${safeText(line)}\n`).join(""));
    }
    if (problems.length > 0) {
      const count = problems.length === 1 ? "an error" : `${problems.length} errors`;
      throw new SociError("failed-precondition", `Cannot use "${file}": it has ${count}`);
    }
  },
});
