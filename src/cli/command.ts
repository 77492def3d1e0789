import type { AnyArgValues, ArgSpec, ArgValues } from "./arg-spec.ts";
import type { CommandContext } from "./command-context.ts";
import type { AnyFlagValues, FlagSpecs, FlagValues } from "./flag-spec.ts";

/** One line of a command's help: a real command line and what it does. */
export interface Example {
  /** As typed in a shell, from the program's name on. */
  readonly command: string;
  readonly explanation: string;
}

/** What a command says about itself: help, reference and parser are made from it. */
export interface CommandSpec<A extends readonly ArgSpec[], F extends FlagSpecs> {
  /** The words after the program's name, as in `ztoc create`. */
  readonly name: string;
  /** Imperative, under 60 characters, no period. The same text stands in the registry. */
  readonly summary: string;
  /** Further paragraphs of the help. */
  readonly description?: string;
  /** At least one. */
  readonly examples: readonly [Example, ...Example[]];
  /** In the order of the command line; optional ones after required ones, a repeatable one last. */
  readonly args: A;
  /** By long name, kebab-case, without the dashes. */
  readonly flags: F;
  /**
   * Does the work. The result goes to `context.io.stdout` and nothing else does. A failure is
   * thrown (run-cli.ts prints it and chooses the exit code); returning means exit 0.
   */
  run(context: CommandContext<ArgValues<A>, FlagValues<F>>): Promise<void>;
}

/** A command with its types erased, as the registry holds it. */
export interface Command extends Omit<CommandSpec<readonly ArgSpec[], FlagSpecs>, "run"> {
  run(context: CommandContext<AnyArgValues, AnyFlagValues>): Promise<void>;
}

/** Types `run`'s context from `args` and `flags`; the values are made by parseCommandLine(). */
export function defineCommand<const A extends readonly ArgSpec[], const F extends FlagSpecs>(
  spec: CommandSpec<A, F>,
): Command {
  // parseCommandLine() builds from a spec exactly the values that ArgValues and FlagValues promise
  // for it; the compiler cannot follow that.
  return spec as unknown as Command;
}
