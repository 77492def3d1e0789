import type { CompletionNode, CompletionWord } from "./completion-model.ts";

/** The completion of a program's command line for bash. */
export function bashCompletion(nodes: readonly CompletionNode[]): string {
  return `# bash completion of sociable, made by: sociable completions bash
# shellcheck shell=bash
_sociable() {
  local cur prev word path="" skip="" joined="" given=0 i
  cur=\${COMP_WORDS[COMP_CWORD]}
  prev=\${COMP_WORDS[COMP_CWORD-1]}
  if [[ $cur == "=" ]]; then cur=""
  elif [[ $prev == "=" ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ -n $skip ]]; then
      if [[ $word == "=" ]]; then continue; fi
      skip=""
      continue
    fi
    # A name with colons comes in pieces.
    if [[ $word == ":" ]]; then joined=1; continue; fi
    if [[ -n $joined ]]; then joined=""; continue; fi
    case "$path $word" in
${nodes.flatMap(({ path, flags }) => skipLines(path, flags)).join("\n")}
      *" "-*) ;;
${nodes.flatMap(({ path }) => stepLines(path)).join("\n")}
      *) ((given++)) ;;
    esac
  done
  if [[ $cur == ":" || $prev == ":" ]] && ((given > 0)); then ((given--)); fi
  case "$path" in
${nodes.map(nodeCase).join("\n")}
  esac
}

_sociable_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_sociable_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_sociable_directories() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -d -- "$cur")
}

# Names of images have colons, at which bash breaks words.
_sociable_images() {
  local line=\${COMP_LINE:0:COMP_POINT} typed head i
  typed=\${line##*[[:space:]]}
  mapfile -t COMPREPLY < <(compgen -W "$("\${COMP_WORDS[0]}" completions images 2>/dev/null)" -- "$typed")
  if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
    head=\${typed%"\${typed##*:}"}
    for i in "\${!COMPREPLY[@]}"; do COMPREPLY[i]=\${COMPREPLY[i]#"$head"}; done
  fi
}

complete -F _sociable sociable
`;
}

/** From a group to what is in it. */
function stepLines(path: readonly string[]): readonly string[] {
  const words = path.join(" ");
  if (path.length === 0) return [];
  return [`      "${path.length === 1 ? ` ${words}` : words}") path="${words}" ;;`];
}

function skipLines(path: readonly string[], flags: CompletionNode["flags"]): readonly string[] {
  const valued = flags
    .filter(({ value }) => value !== undefined)
    .flatMap(({ name, short }) => (short === undefined ? [name] : [name, short]));
  const patterns = valued.map((flag) => `"${path.join(" ")} ${flag}"`);
  return patterns.length === 0 ? [] : [`      ${patterns.join(" | ")}) skip=1 ;;`];
}

function nodeCase({ path, commands, flags, args }: CompletionNode): string {
  const lines = [`    "${path.join(" ")}")`, '      case "$prev" in'];
  for (const { name, short, value } of flags) {
    if (value === undefined) continue;
    lines.push(
      `        ${short === undefined ? name : `${name} | ${short}`}) ${action(value)}; return ;;`,
    );
  }
  lines.push("      esac");
  const names = flags.flatMap(({ name, short }) => (short === undefined ? [name] : [name, short]));
  lines.push(
    '      case "$cur" in',
    `        -*) _sociable_words "${names.join(" ")}"; return ;;`,
    "      esac",
  );
  if (commands.length > 0) {
    lines.push(`      _sociable_words "${commands.map(({ name }) => name).join(" ")}"`);
  } else if (args.length > 0) {
    lines.push('      case "$given" in');
    for (const [index, { word, isRepeatable }] of args.entries()) {
      lines.push(`        ${isRepeatable ? "*" : index}) ${action(word)} ;;`);
    }
    lines.push("      esac");
  }
  lines.push("      ;;");
  return lines.join("\n");
}

function action(word: CompletionWord): string {
  switch (word.kind) {
    case "words":
      return `_sociable_words "${word.words.join(" ")}"`;
    case "file":
      return "_sociable_files";
    case "directory":
      return "_sociable_directories";
    case "image":
      return "_sociable_images";
    case "any":
      return ":";
  }
}
