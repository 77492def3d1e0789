import { parseArgs } from "node:util";
import { nearestName } from "../config/nearest-name.ts";
import { SociError } from "../errors.ts";
import { GLOBAL_FLAGS, TOP_FLAGS } from "./global-flags.ts";
import { parseArgsOptions, refuseUnknownFlag } from "./parse-flags.ts";
import { type CommandEntry, type CommandGroup, isCommandGroup } from "./registry-entry.ts";

/** What a command line names, and the command line without those words. */
export type Selection =
  | {
      readonly kind: "command";
      /** From the program's name on, aliases replaced, as in `sociable ztoc list`. */
      readonly path: string;
      readonly entry: CommandEntry;
      readonly argv: readonly string[];
    }
  | {
      readonly kind: "group";
      readonly path: string;
      readonly group: CommandGroup;
      readonly argv: readonly string[];
    };

/**
 * Finds the command in `argv`. Before its name only global flags may stand. `help` in front of a
 * name is the same as `--help` after it.
 * @throws invalid-argument for an unknown command, and an unknown flag before its name
 */
export function selectCommand(
  argv: readonly string[],
  { registry, program }: { readonly registry: CommandGroup; readonly program: string },
): Selection {
  let group = registry;
  let path = program;
  let rest = argv;
  for (;;) {
    const flags = group === registry ? { ...GLOBAL_FLAGS, ...TOP_FLAGS } : GLOBAL_FLAGS;
    const { tokens } = parseArgs({
      args: [...rest],
      options: parseArgsOptions(flags),
      strict: false,
      allowPositionals: true,
      tokens: true,
    });
    const word = tokens.find((token) => token.kind === "positional");
    for (const token of tokens) {
      const stands = word === undefined || token.index < word.index;
      if (stands && token.kind === "option") refuseUnknownFlag(token, { flags, path, argv: rest });
    }
    if (word === undefined) return { kind: "group", path, group, argv: rest };

    rest = rest.toSpliced(word.index, 1);
    if (word.value === "help" && !Object.hasOwn(group.commands, "help")) {
      rest = ["--help", ...rest];
      continue;
    }
    const [name, entry] =
      findEntry(group, word.value) ?? refuseUnknownCommand(word.value, group, path);
    path = `${path} ${name}`;
    if (!isCommandGroup(entry)) return { kind: "command", path, entry, argv: rest };
    group = entry;
  }
}

function findEntry(group: CommandGroup, word: string) {
  return Object.entries(group.commands).find(
    ([name, entry]) => name === word || entry.aliases?.includes(word) === true,
  );
}

function refuseUnknownCommand(word: string, group: CommandGroup, path: string): never {
  const names = Object.entries(group.commands).flatMap(([name, entry]) => [
    name,
    ...(entry.aliases ?? []),
  ]);
  const nearest = nearestName(word, names);
  const pointer = `all commands: ${path} --help`;
  throw new SociError("invalid-argument", `Cannot run "${path}": unknown command "${word}"`, {
    hint:
      nearest === undefined
        ? pointer
        : `did you mean "${path} ${nearest}"? All commands: ${path} --help`,
  });
}
