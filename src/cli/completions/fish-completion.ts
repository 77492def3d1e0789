import type { CompletionFlag, CompletionNode, CompletionWord } from "./completion-model.ts";

/** The completion of a program's command line for fish. */
export function fishCompletion(nodes: readonly CompletionNode[]): string {
  const valued = nodes.flatMap(({ path, flags }) =>
    flags
      .filter(({ value }) => value !== undefined)
      .flatMap(({ name, short }) => (short === undefined ? [name] : [name, short]))
      .map((flag) => quote([...path, flag].join(" "))),
  );
  const paths = nodes
    .filter(({ path }) => path.length > 0)
    .map(({ path }) => quote(path.join(" ")));
  return `# fish completion of sociable, made by: sociable completions fish

# Whether the words so far are these, and how many arguments came after them.
function __sociable_at
    set -l words (commandline -opc)[2..-1]
    set -l path
    set -l given 0
    set -l skip 0
    for word in $words
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case '-*'
                contains -- (string join -- ' ' $path $word) ${valued.join(" ")}
                and set skip 1
            case '*'
                if contains -- (string join -- ' ' $path $word) ${paths.join(" ")}
                    set -a path $word
                else
                    set given (math $given + 1)
                end
        end
    end
    test "$path" = "$argv[1]"
    or return 1
    test (count $argv) = 1
    or test $given -ge $argv[2] -a $given -le $argv[3]
end

function __sociable_images
    sociable completions images 2>/dev/null
end

complete -c sociable -f
${nodes.flatMap(nodeLines).join("\n")}
`;
}

function nodeLines({ path, commands, flags, args }: CompletionNode): readonly string[] {
  const here = quote(path.join(" "));
  const start = `complete -c sociable -n ${quote(`__sociable_at ${here}`)}`;
  return [
    ...commands.map(
      ({ name, summary }) =>
        `complete -c sociable -n ${quote(`__sociable_at ${here} 0 0`)} -a ${quote(name)} -d ${quote(summary)}`,
    ),
    ...flags.map((flag) => `${start} ${flagWords(flag)}`),
    ...args.flatMap(({ word, isRepeatable }, index) => {
      const source = sourceOf(word);
      const last = isRepeatable ? 9999 : index;
      return source === ""
        ? []
        : [`complete -c sociable -n ${quote(`__sociable_at ${here} ${index} ${last}`)} ${source}`];
    }),
  ];
}

function flagWords({ name, short, description, value }: CompletionFlag): string {
  const words = [`-l ${name.slice(2)}`];
  if (short !== undefined) words.push(`-s ${short.slice(1)}`);
  if (value !== undefined) words.push(`-x ${sourceOf(value)}`.trim().replace(/^-x -F$/, "-r -F"));
  words.push(`-d ${quote(description)}`);
  return words.join(" ");
}

function sourceOf(word: CompletionWord): string {
  switch (word.kind) {
    case "words":
      return `-a ${quote(word.words.join(" "))}`;
    case "file":
      return "-F";
    case "directory":
      return "-a '(__fish_complete_directories)'";
    case "image":
      return "-a '(__sociable_images)'";
    case "any":
      return "";
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
