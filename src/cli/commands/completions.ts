import { SociError } from "../../errors.ts";
import { bashCompletion } from "../completions/bash-completion.ts";
import { completionNodes } from "../completions/completion-model.ts";
import { fishCompletion } from "../completions/fish-completion.ts";
import { zshCompletion } from "../completions/zsh-completion.ts";
import { defineCommand } from "../command.ts";
import { openStoreIfThere } from "../image-flags.ts";

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

export const completionsCommand = defineCommand({
  name: "completions",
  summary: "Print the completion script of a shell",
  description:
    "Completes commands, flags, their values, files, and the names of images that have an index in the state directory, which `sociable completions images` prints.",
  examples: [
    {
      command: "sociable completions bash > /etc/bash_completion.d/sociable",
      explanation: "For all users of bash, as root",
    },
    {
      command: "sociable completions zsh > /usr/local/share/zsh/site-functions/_sociable",
      explanation: "For all users of zsh, as root",
    },
    {
      command: "sociable completions fish > ~/.config/fish/completions/sociable.fish",
      explanation: "For fish",
    },
  ],
  args: [{ name: "shell", required: true, description: "bash, zsh or fish" }],
  flags: {},
  async run({ args, io, root, registry, signal }) {
    if (args.shell === "images") {
      await using store = await openStoreIfThere(root, signal);
      const names = new Set(
        (store?.artifacts.listIndexes() ?? []).map(({ imageName }) => imageName).filter(isPlain),
      );
      await io.stdout.write([...names].map((name) => `${name}\n`).join(""));
      return;
    }
    if (!Object.hasOwn(SHELLS, args.shell)) {
      throw new SociError(
        "invalid-argument",
        `Cannot complete for ${JSON.stringify(args.shell)}: want ${Object.keys(SHELLS).join(", ")}`,
      );
    }
    const nodes = await completionNodes(registry);
    await io.stdout.write(SHELLS[args.shell as keyof typeof SHELLS](nodes));
  },
});

/** Shells take the words of what is printed apart; a name that is a reference has none of their signs. */
function isPlain(name: string): boolean {
  return /^[\w./:@-]+$/.test(name);
}
