import type { GoFlag, GoFlagValues } from "./go-flags.ts";
import type { SociContext } from "./soci-context.ts";

/** A command of the Go tool, or a group of them. */
export type SociEntry = SociCommand | SociGroup;

export interface SociCommand {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly usage: string;
  /** What follows the flags, for the help. */
  readonly arguments: string;
  readonly flags: readonly GoFlag[];
  /** Whether it can do without the root directory, by its flags; it is made for all others. */
  readonly needsNoRoot?: (flags: GoFlagValues) => boolean;
  /** A failure is thrown; its message is what the user reads. */
  run(context: SociContext, call: SociCall): Promise<void>;
}

export interface SociGroup {
  readonly name: string;
  readonly usage: string;
  readonly entries: readonly SociEntry[];
}

/** What was given to a command. */
export interface SociCall {
  readonly flags: GoFlagValues;
  readonly words: readonly string[];
}
