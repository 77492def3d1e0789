import type { ArgSpec } from "../arg-spec.ts";
import type { FlagSpec, FlagSpecs } from "../flag-spec.ts";
import { GLOBAL_FLAGS, TOP_FLAGS } from "../global-flags.ts";
import { type CommandEntry, type CommandGroup, isCommandGroup } from "../registry-entry.ts";

/** What may stand in a place: one of some words, a file, an image that is known here, or anything. */
export type CompletionWord =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "file" | "directory" | "image" | "any" };

export interface CompletionFlag {
  /** With its dashes: `--root`. */
  readonly name: string;
  /** With its dash; `undefined` when it has none. */
  readonly short: string | undefined;
  readonly description: string;
  /** `undefined` when it takes no value. */
  readonly value: CompletionWord | undefined;
  readonly isRepeatable: boolean;
}

export interface CompletionArg {
  readonly name: string;
  readonly word: CompletionWord;
  readonly isRepeatable: boolean;
}

/** What may follow some words of a command line. */
export interface CompletionNode {
  /** The words after the program's name; empty at the top. */
  readonly path: readonly string[];
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  readonly flags: readonly CompletionFlag[];
  readonly args: readonly CompletionArg[];
}

/** Everything that can be completed, each group before what is in it. Loads every command. */
export async function completionNodes(registry: CommandGroup): Promise<readonly CompletionNode[]> {
  return await nodesOf(registry, []);
}

async function nodesOf(
  entry: CommandEntry | CommandGroup,
  path: readonly string[],
): Promise<readonly CompletionNode[]> {
  if (!isCommandGroup(entry)) {
    const { flags, args } = await entry.load();
    const all = { ...flags, ...GLOBAL_FLAGS };
    return [{ path, commands: [], flags: flagsOf(all), args: args.map(argOf) }];
  }
  const shown = Object.entries(entry.commands).filter(([, { isHidden }]) => isHidden !== true);
  const inner = await Promise.all(shown.map(([name, each]) => nodesOf(each, [...path, name])));
  const flags = path.length === 0 ? { ...GLOBAL_FLAGS, ...TOP_FLAGS } : GLOBAL_FLAGS;
  const commands = shown.map(([name, { summary }]) => ({ name, summary }));
  return [{ path, commands, flags: flagsOf(flags), args: [] }, ...inner.flat()];
}

function flagsOf(specs: FlagSpecs): readonly CompletionFlag[] {
  return Object.entries(specs).map(([name, spec]) => ({
    name: `--${name}`,
    short: spec.short === undefined ? undefined : `-${spec.short}`,
    description: firstSentence(spec.description),
    value: wordOf(spec),
    isRepeatable: "multiple" in spec && spec.multiple === true,
  }));
}

function wordOf(spec: FlagSpec): CompletionWord | undefined {
  if (spec.type === "boolean") return undefined;
  if (spec.type === "choice") return { kind: "words", words: spec.choices };
  const { valueName } = spec;
  if (valueName === "IMAGE") return { kind: "image" };
  if (valueName === "DIR") return { kind: "directory" };
  return { kind: /^(?:FILE|PATH|SOCKET|DIGEST\|FILE)$/.test(valueName) ? "file" : "any" };
}

const IMAGE_ARGS: readonly string[] = ["image", "before", "after", "source"];
const FILE_ARGS: readonly string[] = ["file", "layer-file", "ztoc", "destination"];
const SHELLS: readonly string[] = ["bash", "zsh", "fish"];

function argOf({ name, repeatable = false }: ArgSpec): CompletionArg {
  const word = ((): CompletionWord => {
    if (IMAGE_ARGS.includes(name)) return { kind: "image" };
    if (FILE_ARGS.includes(name)) return { kind: "file" };
    if (name === "dir") return { kind: "directory" };
    return name === "shell" ? { kind: "words", words: SHELLS } : { kind: "any" };
  })();
  return { name, word, isRepeatable: repeatable };
}

/** Shells show descriptions on one line. */
function firstSentence(text: string): string {
  const [first = ""] = text.split(/[;.:](?:\s|$)|\n/);
  return first.length > 70 ? `${first.slice(0, 69).trimEnd()}…` : first;
}
