import { parseArgs } from "node:util";
import { nearestName } from "../config/nearest-name.ts";
import { SociError } from "../errors.ts";
import { parseByteSize } from "./byte-size.ts";
import { parseDuration } from "./duration.ts";
import type { AnyFlagValues, FlagSpec, FlagSpecs, FlagValue } from "./flag-spec.ts";

/** One option as parseArgs() reports it. */
export interface FlagToken {
  readonly kind: "option";
  readonly name: string;
  readonly rawName: string;
  readonly index: number;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

export interface ParseFlagsOptions {
  readonly flags: FlagSpecs;
  /** The command, from the program's name on, for messages. */
  readonly path: string;
}

export interface ParsedFlags {
  /** One for each of `flags`, as FlagValues promises. */
  readonly values: AnyFlagValues;
  readonly positionals: readonly string[];
}

/** `flags` as node:util's parseArgs() wants them. Everything may repeat: we refuse what may not. */
export function parseArgsOptions(flags: FlagSpecs) {
  return Object.fromEntries(
    Object.entries(flags).map(([name, spec]) => [
      name,
      {
        type: spec.type === "boolean" ? ("boolean" as const) : ("string" as const),
        multiple: true,
        ...(spec.short === undefined ? {} : { short: spec.short }),
      },
    ]),
  );
}

/** Whether `--help` stands on the command line, whatever else is wrong with it. */
export function asksForHelp(argv: readonly string[], flags: FlagSpecs): boolean {
  const { tokens } = looseTokens(argv, flags);
  return tokens.some((token) => token.kind === "option" && token.name === "help");
}

/**
 * Parses flags and positional arguments strictly. Refused: an unknown flag; a value that is missing,
 * empty or looks like a flag; a value for a flag that takes none; a second value for a flag that
 * takes one. `--` ends the flags.
 * @throws invalid-argument
 */
export function parseFlags(
  argv: readonly string[],
  { flags, path }: ParseFlagsOptions,
): ParsedFlags {
  const { tokens } = looseTokens(argv, flags);
  const given = new Map<string, (string | true)[]>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const spec = refuseUnknownFlag(token, { flags, path, argv });
    const value = givenValueOf(token, spec, path);
    const values = given.get(token.name) ?? [];
    if (values.length > 0 && spec.type !== "boolean" && spec.multiple !== true) {
      throw usageError(path, `flag --${token.name} is given more than once, want one value`);
    }
    values.push(value);
    given.set(token.name, values);
  }
  // The checks above word the errors; parseArgs() in strict mode has the last say.
  const { positionals } = strictly(argv, flags, path);
  const values: Record<string, FlagValue> = {};
  for (const [name, spec] of Object.entries(flags)) {
    values[name] = convert(name, spec, { given: given.get(name) ?? [], path });
  }
  return { values, positionals };
}

/** The token's flag. @throws invalid-argument that names the nearest one when there is none */
export function refuseUnknownFlag(
  token: FlagToken,
  { flags, path, argv }: ParseFlagsOptions & { readonly argv: readonly string[] },
): FlagSpec {
  const typed = argv[token.index]?.replace(/=.*$/s, "") ?? token.rawName;
  // `-platform` would be read as `-p latform`: whoever means that writes `-p latform`.
  const isMisspelt = !typed.startsWith("--") && Object.hasOwn(flags, typed.slice(1));
  const spec = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined;
  if (spec !== undefined && !isMisspelt) return spec;
  const isWord = typed.startsWith("--") || typed.length > 2;
  const shorts = Object.values(flags).flatMap(({ short }) => (short === undefined ? [] : [short]));
  const nearest = isWord
    ? nearestName(typed.replace(/^-+/, ""), Object.keys(flags))
    : shorts.find((short) => short === token.name.toLowerCase());
  const shown = nearest === undefined ? "" : `did you mean ${isWord ? "--" : "-"}${nearest}? `;
  throw new SociError("invalid-argument", `Cannot run "${path}": unknown flag "${typed}"`, {
    hint: `${shown}All flags: ${path} --help`,
  });
}

/** @returns an `invalid-argument` that points to the command's help */
export function usageError(path: string, problem: string, options?: ErrorOptions): SociError {
  return new SociError("invalid-argument", `Cannot run "${path}": ${problem}`, {
    ...options,
    hint: `see ${path} --help`,
  });
}

function looseTokens(argv: readonly string[], flags: FlagSpecs) {
  return parseArgs({
    args: [...argv],
    options: parseArgsOptions(flags),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
}

function strictly(argv: readonly string[], flags: FlagSpecs, path: string) {
  try {
    return parseArgs({
      args: [...argv],
      options: parseArgsOptions(flags),
      strict: true,
      allowPositionals: true,
    });
  } catch (cause) {
    throw usageError(path, "bad flags", { cause });
  }
}

function givenValueOf(token: FlagToken, spec: FlagSpec, path: string): string | true {
  if (spec.type === "boolean") {
    if (token.value === undefined) return true;
    throw usageError(path, `flag --${token.name} takes no value, got "${token.value}"`);
  }
  const wanted = spec.type === "choice" ? spec.choices.join("|") : spec.valueName;
  if (token.value === undefined || token.value === "") {
    throw usageError(path, `flag --${token.name} has no value, want --${token.name} ${wanted}`);
  }
  // `-` alone is a value: standard input or output.
  if (token.inlineValue !== true && token.value.startsWith("-") && token.value !== "-") {
    throw usageError(
      path,
      `flag --${token.name} has no value, want --${token.name} ${wanted} (or --${token.name}=${token.value} if that is its value)`,
    );
  }
  return token.value;
}

function convert(
  name: string,
  spec: FlagSpec,
  { given, path }: { readonly given: readonly (string | true)[]; readonly path: string },
): FlagValue {
  if (spec.type === "boolean") return given.length > 0;
  const values = given.map((text) => {
    try {
      return convertOne(spec, String(text));
    } catch (cause) {
      throw usageError(path, `flag --${name} has a bad value`, { cause });
    }
  });
  if (spec.multiple === true) {
    return values.length === 0 && spec.default !== undefined ? [spec.default] : values;
  }
  return values[0] ?? spec.default;
}

function convertOne(spec: Exclude<FlagSpec, { type: "boolean" }>, text: string): string | number {
  switch (spec.type) {
    case "string":
      return text;
    case "choice":
      if (spec.choices.includes(text)) return text;
      throw new SociError(
        "invalid-argument",
        `Cannot use "${text}": want ${spec.choices.join(" or ")}`,
      );
    case "duration":
      return parseDuration(text);
    case "bytes":
      return inRange(parseByteSize(text), text, spec);
    case "integer":
      return inRange(parseInteger(text), text, spec);
  }
}

function parseInteger(text: string): number {
  const value = /^[+-]?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new SociError("invalid-argument", `Cannot use "${text}": want a whole number`);
}

function inRange(
  value: number,
  text: string,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { readonly min?: number; readonly max?: number },
): number {
  if (value >= min && value <= max) return value;
  const wanted = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `${min} to ${max}`;
  throw new SociError("invalid-argument", `Cannot use "${text}": want ${wanted}`);
}
