import { SociError } from "../../errors.ts";
import type { HostRoot } from "../../install/host-root.ts";
import type { CliIo } from "../cli-io.ts";
import type { FlagSpecs } from "../flag-spec.ts";

/** Of `install` and `uninstall`. */
export const INSTALL_FLAGS = {
  "dry-run": {
    type: "boolean",
    description: "Change nothing; print what would change as a unified diff",
  },
  "root-dir": {
    type: "string",
    valueName: "DIR",
    default: "/",
    description: "The host's root directory: all paths are below it, and no service is started",
  },
  json: { type: "boolean", description: "Print a JSON object: changes, kept, next, applied" },
} as const satisfies FlagSpecs;

/** The files of this machine are root's. @throws permission-denied */
export function requireRoot({ uid }: Pick<CliIo, "uid">, root: HostRoot): void {
  if (uid === 0 || !root.isOwn) return;
  throw new SociError("permission-denied", "Cannot change this host: only root can", {
    hint: "Run it with sudo, or look first with --dry-run",
  });
}
