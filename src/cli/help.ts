import { stripVTControlCharacters, styleText } from "node:util";
import { type ArgsDef, renderUsage } from "citty";
import { byteSizeFlagText } from "./byte-size.ts";
import type { Command } from "./command.ts";
import type { FlagSpec, FlagSpecs } from "./flag-spec.ts";
import { formatDuration } from "./duration.ts";
import { GLOBAL_FLAGS, TOP_FLAGS } from "./global-flags.ts";
import type { CommandGroup } from "./registry-entry.ts";
import { wrapText } from "./wrap-text.ts";

export interface HelpOptions {
  /** The words typed, from the program's name on. */
  readonly path: string;
  /** Whether to keep the escape sequences that style headings. */
  readonly color: boolean;
  /** Columns of the terminal; undefined where there is none: lines are as long as they get then. */
  readonly width?: number | undefined;
}

/** Help of one command: usage, arguments, all flags, description, examples. */
export async function renderCommandHelp(command: Command, options: HelpOptions): Promise<string> {
  const usage = await renderUsage({
    meta: { name: options.path, description: command.summary },
    args: { ...positionalsOf(command), ...optionsOf({ ...command.flags, ...GLOBAL_FLAGS }) },
  });
  // Not wrapped: lines to be copied.
  const examples = command.examples
    .map(({ command: line, explanation }) => `  ${explanation}:\n    ${line}\n`)
    .join("\n");
  const description =
    command.description === undefined
      ? ""
      : `${heading("DESCRIPTION")}\n\n${indent(command.description)}\n\n`;
  const prose = wrapped(`${usage}\n${description}`, options);
  return finish(`${prose}${heading("EXAMPLES")}\n\n${examples}`, options);
}

/** Help of a group: its commands and their summaries. Loads none of them. */
export async function renderGroupHelp(
  group: CommandGroup,
  { isTop, ...options }: HelpOptions & { readonly isTop: boolean },
): Promise<string> {
  const usage = await renderUsage({
    meta: { name: options.path, description: group.summary },
    args: optionsOf(isTop ? { ...GLOBAL_FLAGS, ...TOP_FLAGS } : GLOBAL_FLAGS),
    subCommands: Object.fromEntries(
      Object.entries(group.commands)
        .filter(([, { isHidden = false }]) => !isHidden)
        .map(([name, { summary, aliases = [] }]) => [
          name,
          { meta: { name, description: summary, alias: [...aliases] } },
        ]),
    ),
  });
  return finish(wrapped(`${usage}\n`, options), options);
}

/** What a flag's default is called where there is one, in the form in which it can be typed. */
export function flagDefaultText(spec: FlagSpec): string | undefined {
  if (spec.type === "boolean" || spec.default === undefined) return undefined;
  if (spec.type === "bytes") return byteSizeFlagText(spec.default);
  if (spec.type === "duration") return formatDuration(spec.default);
  return String(spec.default);
}

function positionalsOf(command: Command): ArgsDef {
  return Object.fromEntries(
    command.args.map(({ name, required, repeatable, description }) => [
      repeatable === true ? `${name}...` : name,
      { type: "positional" as const, required, description },
    ]),
  );
}

function optionsOf(flags: FlagSpecs): ArgsDef {
  return Object.fromEntries(Object.entries(flags).map(([name, spec]) => [name, optionOf(spec)]));
}

function optionOf(spec: FlagSpec): ArgsDef[string] {
  const alias = spec.short === undefined ? {} : { alias: spec.short };
  if (spec.type === "boolean") {
    return { type: "boolean", description: spec.description, ...alias };
  }
  const text = flagDefaultText(spec);
  const common = {
    description: spec.multiple === true ? `${spec.description} (repeatable)` : spec.description,
    ...(text === undefined ? {} : { default: text }),
    ...alias,
  };
  return spec.type === "choice"
    ? { type: "enum", options: [...spec.choices], ...common }
    : { type: "string", valueHint: spec.valueName, ...common };
}

function heading(text: string): string {
  return styleText(["underline", "bold"], text, { validateStream: false });
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, "  ");
}

function wrapped(text: string, { width }: HelpOptions): string {
  return width === undefined ? text : wrapText(text, width);
}

function finish(text: string, { color }: HelpOptions): string {
  // citty decides on colours by the environment alone, not by where the text goes.
  const shown = color ? text : stripVTControlCharacters(text);
  return shown.replace(/ +$/gm, "");
}
