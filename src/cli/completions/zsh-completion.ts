import type { CompletionFlag, CompletionNode, CompletionWord } from "./completion-model.ts";

/** The completion of a program's command line for zsh. */
export function zshCompletion(nodes: readonly CompletionNode[]): string {
  return `#compdef sociable
# zsh completion of sociable, made by: sociable completions zsh

_sociable_images() {
  local -a images
  images=(\${(f)"$(_call_program images sociable completions images 2>/dev/null)"})
  # Colons are part of names; _multi_parts and _describe would split there.
  compadd -a images
}

${nodes.map(nodeFunction).join("\n")}
if [ "$funcstack[1]" = _sociable ]; then
  _sociable "$@"
else
  compdef _sociable sociable
fi
`;
}

function nodeFunction({ path, commands, flags, args }: CompletionNode): string {
  const name = functionOf(path);
  const specs = [
    ...flags.flatMap(flagSpecs),
    ...args.map(({ name: arg, word, isRepeatable }, index) =>
      quote(`${isRepeatable ? "*" : index + 1}:${text(arg)}:${action(word)}`),
    ),
  ];
  if (commands.length === 0) {
    return `${name}() {
  _arguments -s -S ${specs.join(" \\\n    ")}
}
`;
  }
  return `${name}() {
  local context state state_descr line
  local -A opt_args
  _arguments -s -S -C ${[...specs, quote("1:command:->command"), quote("*::argument:->argument")].join(" \\\n    ")}
  case $state in
    command)
      local -a commands
      commands=(
${commands.map(({ name: command, summary }) => `        ${quote(`${text(command)}:${summary}`)}`).join("\n")}
      )
      _describe -t commands command commands
      ;;
    argument)
      case $line[1] in
${commands.map(({ name: command }) => `        ${command}) ${functionOf([...path, command])} ;;`).join("\n")}
      esac
      ;;
  esac
}
`;
}

function functionOf(path: readonly string[]): string {
  return ["_sociable", ...path].join("-");
}

function flagSpecs({ name, short, description, value, isRepeatable }: CompletionFlag): string[] {
  const what = `[${text(description).replaceAll("[", "\\[").replaceAll("]", "\\]")}]`;
  const tail = value === undefined ? "" : `:${text(name.slice(2))}:${action(value)}`;
  const names = short === undefined ? [name] : [name, short];
  return names.map((each) => {
    // A flag that takes a value takes it in the next word or after `=`.
    const form = value === undefined ? each : each.startsWith("--") ? `${each}=` : `${each}+`;
    const others = isRepeatable ? "*" : names.length > 1 ? `(${names.join(" ")})` : "";
    return quote(`${others}${form}${what}${tail}`);
  });
}

function action(word: CompletionWord): string {
  switch (word.kind) {
    case "words":
      return `(${word.words.join(" ")})`;
    case "file":
      return "_files";
    case "directory":
      return "_files -/";
    case "image":
      return "_sociable_images";
    case "any":
      return " ";
  }
}

/** In a specification a colon parts. */
function text(words: string): string {
  return words.replaceAll("\\", "\\\\").replaceAll(":", "\\:");
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
