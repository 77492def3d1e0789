import type { Command } from "./command.ts";

/** A command that is loaded when it is run, or when its own help is asked for. */
export interface CommandEntry {
  /** The command's own `summary`, so that the list of commands needs no loading. */
  readonly summary: string;
  readonly aliases?: readonly string[];
  /** Not for users: no help and no reference lists it. */
  readonly isHidden?: boolean;
  readonly load: () => Promise<Command>;
}

/** Commands that share their first word, as `ztoc create` and `ztoc info`. */
export interface CommandGroup {
  readonly summary: string;
  readonly aliases?: readonly string[];
  readonly isHidden?: boolean;
  /** By name, in the order of the help. */
  readonly commands: Readonly<Record<string, CommandEntry | CommandGroup>>;
}

export function isCommandGroup(entry: CommandEntry | CommandGroup): entry is CommandGroup {
  return "commands" in entry;
}
