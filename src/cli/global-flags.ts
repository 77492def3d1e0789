import { SYSTEM_STATE_ROOT } from "../config/state-root.ts";
import { LOG_LEVELS } from "../observability/log.ts";
import type { FlagSpecs, FlagValues } from "./flag-spec.ts";

/** Flags that every command takes, before or after its name. */
export const GLOBAL_FLAGS = {
  root: {
    type: "string",
    valueName: "DIR",
    description: `State directory (default: ${SYSTEM_STATE_ROOT} as root, else $XDG_DATA_HOME/sociable or ~/.local/share/sociable)`,
  },
  "log-level": {
    type: "choice",
    choices: LOG_LEVELS,
    default: "warn",
    description: "Least severe log lines to print on standard error",
  },
  "log-format": {
    type: "choice",
    choices: ["text", "json"],
    default: "text",
    description: "Form of log lines and of the final error",
  },
  help: { type: "boolean", short: "h", description: "Print help and exit" },
} as const satisfies FlagSpecs;

export type GlobalFlagValues = FlagValues<typeof GLOBAL_FLAGS>;

/** Taken only where no command is named. */
export const TOP_FLAGS = {
  version: { type: "boolean", description: "Print version, commit and Bun's version and exit" },
} as const satisfies FlagSpecs;
