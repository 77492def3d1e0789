import { readFileSync } from "node:fs";
import { join } from "node:path";

export const README = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");

/** A block of code. */
export interface ReadmeBlock {
  /** The section that it is in. */
  readonly heading: string;
  /** What it is said to be in; empty for a session at a terminal and for what is printed. */
  readonly language: string;
  readonly text: string;
}

/** The blocks of a document in Markdown. */
export function blocksOf(document: string): readonly ReadmeBlock[] {
  return document.split(/^(?=##+ )/m).flatMap((section) =>
    [...section.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = "", text = ""]) => ({
      heading: /^##+ (.*)/.exec(section)?.[1] ?? "",
      language,
      text,
    })),
  );
}

export const BLOCKS: readonly ReadmeBlock[] = blocksOf(README);

/** A command line as it is typed, and what is shown below it: nothing for a script's. */
export interface ReadmeCommand {
  readonly line: string;
  readonly output: string | undefined;
}

/** The commands of a session, `$ ` before each, or of a script. */
export function commandsOf({ language, text }: ReadmeBlock): readonly ReadmeCommand[] {
  if (language === "sh") {
    return [...text.matchAll(/^.+$/gm)].map(([line]) => ({ line, output: undefined }));
  }
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [line = "", ...output] = part.split("\n");
      return { line, output: output.join("\n").trimEnd() };
    });
}
