import { describe, expect, test } from "bun:test";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { completionsCommand } from "../../../src/cli/commands/completions.ts";
import { bashCompletion } from "../../../src/cli/completions/bash-completion.ts";
import { completionNodes } from "../../../src/cli/completions/completion-model.ts";
import { fishCompletion } from "../../../src/cli/completions/fish-completion.ts";
import { zshCompletion } from "../../../src/cli/completions/zsh-completion.ts";
import { commandRegistry } from "../../../src/cli/registry.ts";
import type { CommandGroup } from "../../../src/cli/registry-entry.ts";
import { describeWith } from "../../support/describe-with.ts";
import { runProgram } from "../../support/sociable-binary.ts";
import { tempDir, type TempDir } from "../../support/temp-dir.ts";
import { runInProcess } from "../fake-io.ts";

const registry: CommandGroup = {
  summary: "Test",
  commands: {
    completions: { summary: completionsCommand.summary, load: async () => completionsCommand },
  },
};
const IMAGES = ["localhost:5000/app:1", "localhost:5000/app:2", "docker.io/library/alpine:3"];

/** A directory with files, and a program `sociable` that knows some images. */
async function stage(): Promise<TempDir & { readonly env: Readonly<Record<string, string>> }> {
  const dir = await tempDir();
  await mkdir(dir.join("bin"));
  await mkdir(dir.join("work/layers"), { recursive: true });
  await writeFile(dir.join("work/config file.toml"), "");
  await writeFile(dir.join("bin/sociable"), `#!/bin/sh\nprintf '%s\\n' ${IMAGES.join(" ")}\n`);
  await chmod(dir.join("bin/sociable"), 0o755);
  return Object.assign(dir, {
    env: { PATH: `${dir.join("bin")}:${process.env["PATH"] ?? ""}`, HOME: dir.path },
  });
}

const LINES = [
  { title: "commands", line: "sociable un", want: ["uninstall", "unmount"] },
  { title: "commands of a group", line: "sociable ztoc get", want: ["get-file"] },
  { title: "flags", line: "sociable create --span", want: ["--span-size"] },
  { title: "a flag's words", line: "sociable create --log-level d", want: ["debug"] },
  { title: "a command after a flag's value", line: "sociable --root /x unm", want: ["unmount"] },
  { title: "images", line: "sociable ls docker", want: ["docker.io/library/alpine:3"] },
  { title: "nothing where nothing is known", line: "sociable version x", want: [] },
] as const;

describeWith(["bash"], "bash completion", () => {
  async function complete(line: string): Promise<readonly string[]> {
    await using dir = await stage();
    await writeFile(dir.join("c.bash"), bashCompletion(await completionNodes(commandRegistry)));
    // As readline breaks it: at spaces, `=` and `:`.
    const words = line.match(/[^ =:]+|[=:]|(?<= )$/g) ?? [];
    const script = `cd ${dir.join("work")}; . ${dir.join("c.bash")}
COMP_WORDBREAKS=$' \\t\\n=:'
COMP_LINE='${line}'; COMP_POINT=\${#COMP_LINE}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_sociable
printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = await runProgram(["bash", "-c", script], { env: dir.env });
    expect(stderr).toBe("");
    return linesOf(stdout);
  }

  test.each([...LINES])("completes $title", async ({ line, want }) => {
    expect((await complete(line)).toSorted()).toEqual([...want]);
  });

  test.each([
    {
      title: "files, names with spaces whole",
      line: "sociable config check conf",
      want: ["config file.toml"],
    },
    { title: "directories", line: "sociable mount x lay", want: ["layers"] },
    { title: "after the equals sign", line: "sociable ls --log-level=de", want: ["debug"] },
    {
      title: "an image after its colon",
      line: "sociable ls localhost:5000/app:",
      want: ["1", "2"],
    },
  ])("completes $title", async ({ line, want }) => {
    expect(await complete(line)).toEqual(want);
  });
});

describeWith(["fish"], "fish completion", () => {
  async function complete(line: string): Promise<readonly string[]> {
    await using dir = await stage();
    await writeFile(dir.join("c.fish"), fishCompletion(await completionNodes(commandRegistry)));
    const script = `cd ${dir.join("work")}; source ${dir.join("c.fish")}; complete -C '${line}'`;
    const { stdout } = await runProgram(["fish", "--no-config", "-c", script], { env: dir.env });
    return linesOf(stdout).map((found) => found.split("\t")[0] ?? "");
  }

  test.each([...LINES])("completes $title", async ({ line, want }) => {
    expect((await complete(line)).toSorted()).toEqual([...want]);
  });
});

/** Has an interactive shell complete a line: what it would insert is written to `found`. */
const ZSH_INNER = `
fpath=("$DIR" $fpath)
autoload -Uz compinit && compinit -D -u
unsetopt auto_list auto_menu
compadd() {
  local -a matches
  # Those calls only ask.
  if (( \${argv[(I)-[OAD]]} )); then builtin compadd "$@"; return; fi
  builtin compadd -A matches "$@"
  print -rl -- $matches >> "$DIR/found"
  builtin compadd "$@"
}
complete-it() { zle complete-word; : > "$DIR/done" }
zle -N complete-it
bindkey '^I' complete-it
zle-line-init() { : > "$DIR/ready" }
zle -N zle-line-init
cd "$DIR/work"
`;
const ZSH_OUTER = `
zmodload zsh/zpty
zmodload zsh/zselect
until-there() { while [[ ! -e $1 ]]; do zpty -r -t z chunk; zselect -t 1; done }
zpty z zsh -f -i
zpty -w z '. "$DIR/inner.zsh"'
until-there "$DIR/ready"
zpty -n -w z "$LINE"$'\t'
until-there "$DIR/done"
zpty -d z
`;

describeWith(["zsh"], "zsh completion", () => {
  async function complete(line: string): Promise<readonly string[]> {
    await using dir = await stage();
    await writeFile(dir.join("_sociable"), zshCompletion(await completionNodes(commandRegistry)));
    await writeFile(dir.join("inner.zsh"), ZSH_INNER);
    await writeFile(dir.join("found"), "");
    const env = { ...dir.env, DIR: dir.path, LINE: line, TERM: "dumb" };
    const { stderr } = await runProgram(["zsh", "-f", "-c", ZSH_OUTER], { env });
    expect(stderr).toBe("");
    // It may ask twice for the same.
    return [...new Set(linesOf(await readFile(dir.join("found"))))];
  }

  test.each([
    ...LINES,
    {
      title: "files, names with spaces",
      line: "sociable config check conf",
      want: ["config\\ file.toml"],
    },
    { title: "directories", line: "sociable mount x lay", want: ["layers"] },
    { title: "after the equals sign", line: "sociable ls --log-level=de", want: ["debug"] },
    {
      title: "an image after its colon",
      line: "sociable ls localhost:5000/app:",
      want: ["localhost:5000/app:1", "localhost:5000/app:2"],
    },
  ])("completes $title", async ({ line, want }) => {
    expect((await complete(line)).toSorted()).toEqual([...want]);
  });
});

describe("sociable completions", () => {
  test.each([
    { shell: "bash", says: "complete -F _sociable sociable\n" },
    { shell: "zsh", says: "#compdef sociable\n" },
    { shell: "fish", says: "complete -c sociable -f\n" },
  ])("prints that of $shell", async ({ shell, says }) => {
    const { code, stdout } = await runInProcess(["completions", shell], { registry });
    expect({ code, says: stdout.includes(says) }).toEqual({ code: 0, says: true });
  });

  test("knows no other shell", async () => {
    expect(await runInProcess(["completions", "tcsh"], { registry })).toMatchObject({ code: 2 });
  });

  test("lists no images where there is no state", async () => {
    await using dir = await tempDir();
    const words = ["completions", "images", "--root", dir.join("none")];
    expect(await runInProcess(words, { registry })).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});

function linesOf(bytes: Uint8Array): readonly string[] {
  return Buffer.from(bytes)
    .toString()
    .split("\n")
    .filter((line) => line !== "");
}
