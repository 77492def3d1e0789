import type { Command } from "../../../src/cli/command.ts";
import { commandRegistry } from "../../../src/cli/registry.ts";
import type { CommandGroup } from "../../../src/cli/registry-entry.ts";

/** The list of commands, with these in it for certain; `"a b"` is command `b` of group `a`. */
export function withCommands(commands: readonly Command[]): CommandGroup {
  const entries = { ...commandRegistry.commands };
  for (const command of commands) {
    const [first = "", second] = command.name.split(" ");
    const entry = { summary: command.summary, load: async () => command };
    const group = entries[first];
    const members = group !== undefined && "commands" in group ? group.commands : {};
    entries[first] =
      second === undefined
        ? entry
        : { summary: `Commands of ${first}`, commands: { ...members, [second]: entry } };
  }
  return { ...commandRegistry, commands: entries };
}
