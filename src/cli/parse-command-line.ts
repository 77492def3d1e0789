import type { AnyArgValues, ArgSpec } from "./arg-spec.ts";
import type { Command } from "./command.ts";
import type { AnyFlagValues } from "./flag-spec.ts";
import { GLOBAL_FLAGS, type GlobalFlagValues } from "./global-flags.ts";
import { parseFlags, usageError } from "./parse-flags.ts";

/** The values that CommandContext promises for one command, checked against its spec. */
export interface CommandLine {
  readonly args: AnyArgValues;
  /** The command's own flags. */
  readonly flags: AnyFlagValues;
  readonly globals: GlobalFlagValues;
}

/**
 * Parses what stands after a command's name; flags and arguments in any order. Beside what
 * parseFlags() refuses: a missing, empty or surplus argument.
 * @throws invalid-argument
 */
export function parseCommandLine(
  argv: readonly string[],
  { command, path }: { readonly command: Command; readonly path: string },
): CommandLine {
  const { values, positionals } = parseFlags(argv, {
    flags: { ...command.flags, ...GLOBAL_FLAGS },
    path,
  });
  return {
    args: assignArgs(positionals, command.args, path),
    flags: values,
    // parseFlags() has made a value for each of GLOBAL_FLAGS, as FlagValues says.
    globals: values as unknown as GlobalFlagValues,
  };
}

function assignArgs(positionals: readonly string[], specs: readonly ArgSpec[], path: string) {
  const args: Record<string, string | undefined | readonly string[]> = {};
  let next = 0;
  for (const spec of specs) {
    const taken = positionals.slice(next, spec.repeatable === true ? undefined : next + 1);
    if (taken.length === 0 && spec.required) {
      throw usageError(path, `argument ${spec.name.toUpperCase()} is missing`);
    }
    if (taken.includes("")) {
      throw usageError(path, `argument ${spec.name.toUpperCase()} is empty`);
    }
    args[spec.name] = spec.repeatable === true ? taken : taken[0];
    next += taken.length;
  }
  const surplus = positionals[next];
  if (surplus !== undefined) {
    const wanted = specs.length === 0 ? "no arguments" : `${specs.length} at most`;
    throw usageError(path, `surplus argument "${surplus}", want ${wanted}`);
  }
  return args;
}
