import { DEFAULT_CONFIG_FILES } from "./config-file.ts";
import type { FlagSpecs } from "./flag-spec.ts";

/** Of the commands that read the daemon's configuration. */
export const CONFIG_FLAGS = {
  config: {
    type: "string",
    valueName: "FILE",
    description: `Configuration file (default: ${DEFAULT_CONFIG_FILES.sociable}, where it is there)`,
  },
} as const satisfies FlagSpecs;
