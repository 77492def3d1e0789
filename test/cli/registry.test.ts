import { describe, expect, test } from "bun:test";
import type { Command } from "../../src/cli/command.ts";
import { GLOBAL_FLAGS } from "../../src/cli/global-flags.ts";
import { parseCommandLine } from "../../src/cli/parse-command-line.ts";
import { commandRegistry } from "../../src/cli/registry.ts";
import { type CommandGroup, isCommandGroup } from "../../src/cli/registry-entry.ts";
import { selectCommand } from "../../src/cli/select-command.ts";

interface Entry {
  readonly title: string;
  readonly summary: string;
  readonly command: Command;
}

async function* entriesOf(group: CommandGroup, path: readonly string[]): AsyncGenerator<Entry> {
  for (const [name, entry] of Object.entries(group.commands)) {
    const here = [...path, name];
    if (isCommandGroup(entry)) yield* entriesOf(entry, here);
    else yield { title: here.join(" "), summary: entry.summary, command: await entry.load() };
  }
}

const entries = await Array.fromAsync(entriesOf(commandRegistry, []));

describe("commandRegistry", () => {
  test.each(entries)("$title is listed as it calls itself", ({ title, summary, command }) => {
    expect(command.name).toBe(title);
    expect(command.summary).toBe(summary);
  });

  test.each(entries)("$title has a short imperative summary without a period", ({ summary }) => {
    expect(summary).toMatch(/^[A-Z].{0,57}[^.]$/);
  });

  test.each(entries)("$title names its flags and arguments as the house does", ({ command }) => {
    const names = [...Object.keys(command.flags), ...command.args.map(({ name }) => name)];
    expect(names.filter((name) => !/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(name))).toEqual([]);
  });

  test.each(entries)("$title takes no global flag's name or letter", ({ command }) => {
    const flags = Object.entries(command.flags);
    const shorts = flags.flatMap(([, { short }]) => (short === undefined ? [] : [short]));
    expect(flags.filter(([name]) => Object.hasOwn(GLOBAL_FLAGS, name))).toEqual([]);
    expect(new Set([...shorts, "h"]).size).toBe(shorts.length + 1);
  });

  test.each(entries)(
    "$title has required arguments first and a repeatable one last",
    ({ command }) => {
      const { args } = command;
      const firstOptional = args.findIndex(({ required }) => !required);
      const afterOptional = firstOptional === -1 ? [] : args.slice(firstOptional);
      expect(afterOptional.filter(({ required }) => required)).toEqual([]);
      expect(args.slice(0, -1).filter(({ repeatable }) => repeatable === true)).toEqual([]);
    },
  );

  test.each(entries)("$title has examples that its own parser takes", ({ command }) => {
    for (const { command: line } of command.examples) {
      const [program = "", ...argv] = wordsOf(line);
      const selection = selectCommand(argv, { registry: commandRegistry, program });
      expect(selection).toMatchObject({ kind: "command", path: `sociable ${command.name}` });
      parseCommandLine(selection.argv, { command, path: selection.path });
    }
  });
});

/** Words of the sociable part of a shell line, as `cat f | sociable x - > y`. */
function wordsOf(line: string): string[] {
  const part = line.split(" | ").find((piece) => piece.startsWith("sociable ")) ?? "";
  const words = part.match(/'[^']*'|"[^"]*"|\S+/g) ?? [];
  const redirect = words.findIndex((word) => /^[<>]/.test(word));
  const kept = redirect === -1 ? words : words.slice(0, redirect);
  return kept.map((word) => word.replace(/^(['"])(.*)\1$/, "$2"));
}
