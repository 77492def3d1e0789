import type { GoFlag } from "./go-flags.ts";
import type { SociCommand, SociEntry, SociGroup } from "./soci-command.ts";
import { GLOBAL_FLAGS } from "./soci-flags.ts";

const HELP_FLAG: GoFlag = { names: ["help", "h"], type: "bool", usage: "show help" };
const VERSION_FLAG: GoFlag = { names: ["version", "v"], type: "bool", usage: "print the version" };

/** The help of a command or group, laid out as the Go tool's; `path` are the words that lead there. */
export function sociHelp(entry: SociEntry, path: readonly string[]): string {
  const name = path.join(" ");
  return "entries" in entry
    ? groupHelp(entry, { name, isTop: path.length === 1 })
    : commandHelp(entry, name);
}

function groupHelp(
  { usage, entries }: SociGroup,
  { name, isTop }: { readonly name: string; readonly isTop: boolean },
): string {
  const commands = entries.map((entry) => [
    [entry.name, ...("aliases" in entry ? (entry.aliases ?? []) : [])].join(", "),
    entry.usage,
  ]);
  commands.push(["help, h", "shows a list of commands or help for one command"]);
  const flags = isTop ? [...GLOBAL_FLAGS, HELP_FLAG, VERSION_FLAG] : [HELP_FLAG];
  return sections([
    ["NAME", [`${name} - ${usage}`]],
    ["USAGE", [`${name} ${isTop ? "[global options] " : ""}[command [command options]]`]],
    ["COMMANDS", columns(commands)],
    [isTop ? "GLOBAL OPTIONS" : "OPTIONS", columns(flags.map(flagRow))],
  ]);
}

function commandHelp({ usage, arguments: words, flags }: SociCommand, name: string): string {
  return sections([
    ["NAME", [`${name} - ${usage}`]],
    ["USAGE", [`${name} ${words}`.trimEnd()]],
    ["OPTIONS", columns([...flags, HELP_FLAG].map(flagRow))],
  ]);
}

const VALUE_NAMES: Readonly<Record<GoFlag["type"], string>> = {
  bool: "",
  text: " string",
  list: " string [ … ]",
  int: " int",
  uint: " uint",
  duration: " duration",
};

function flagRow({ names, type, usage, env, default: value }: GoFlag): readonly string[] {
  const spelled = names.map((name) => `${name.length === 1 ? "-" : "--"}${name}`).join(", ");
  const shown =
    value === undefined ? "" : ` (default: ${type === "text" ? JSON.stringify(value) : value})`;
  return [
    `${spelled}${VALUE_NAMES[type]}`,
    `${usage}${shown}${env === undefined ? "" : ` [$${env}]`}`,
  ];
}

function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const width = Math.max(...rows.map(([left = ""]) => left.length));
  return rows.map(([left = "", right = ""]) => `${left.padEnd(width)}  ${right}`);
}

function sections(parts: readonly (readonly [string, readonly string[]])[]): string {
  return parts
    .map(([title, lines]) => `${title}:\n${lines.map((line) => `   ${line}\n`).join("")}`)
    .join("\n");
}
