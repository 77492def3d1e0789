import type { Logger } from "../observability/log.ts";
import type { CliIo } from "./cli-io.ts";
import type { CliServices } from "./cli-services.ts";
import type { Progress } from "./progress.ts";
import type { CommandGroup } from "./registry-entry.ts";

/** What a command gets. */
export interface CommandContext<Args, Flags> {
  readonly args: Args;
  /** The command's own flags; the global ones have become `root` and `log`. */
  readonly flags: Flags;
  readonly io: CliIo;
  /** Goes to standard error, above any progress. */
  readonly log: Logger;
  /**
   * The state directory, absolute, not created. Reading it throws `failed-precondition` when there
   * is neither --root nor a home directory.
   */
  readonly root: string;
  /** Aborted when the user interrupts: pass it on, throw its reason. */
  readonly signal: AbortSignal;
  /** Draws on a terminal; does nothing elsewhere. */
  readonly progress: Progress;
  readonly services: CliServices;
  /** The whole command line, for a process that does the same in the background. */
  readonly argv: readonly string[];
  /** All commands, for those that tell of the others. */
  readonly registry: CommandGroup;
}
