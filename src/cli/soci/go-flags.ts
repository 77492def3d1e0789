import { SociError } from "../../errors.ts";
import { parseDuration } from "../duration.ts";

/** A flag of the Go tool. */
export interface GoFlag {
  /** The first is the one in the help; single letters are its short forms. */
  readonly names: readonly [string, ...string[]];
  readonly type: "bool" | "text" | "list" | "int" | "uint" | "duration";
  readonly usage: string;
  readonly env?: string;
  /** Of text and numbers, as on the command line. */
  readonly default?: string;
  /** What is wrong with a value, if anything. */
  readonly check?: (text: string) => string | undefined;
}

/** The line of a command that has none of these flags, or a wrong value: said with the help, exit code 1. */
export class GoUsageError extends Error {
  override readonly name = "GoUsageError";
}

const MAX_INT64 = 2n ** 63n - 1n;
const MAX_UINT64 = 2n ** 64n - 1n;
const SECONDS_ONLY = /^[+-]?\d+(?:\.\d*)?$/;

/** What flags have been given, by their first names. Asking for a flag that there is not, or for another type, is a bug. */
export class GoFlagValues {
  readonly #flags: ReadonlyMap<string, GoFlag>;
  readonly #given: ReadonlyMap<string, readonly string[]>;

  constructor(flags: readonly GoFlag[], given: ReadonlyMap<string, readonly string[]>) {
    this.#flags = new Map(flags.map((flag) => [flag.names[0], flag]));
    this.#given = given;
  }

  bool(name: string): boolean {
    return this.#last(name, "bool") === "true";
  }

  text(name: string): string {
    return this.#last(name, "text");
  }

  /** Repeated flags, each split at its commas. */
  list(name: string): readonly string[] {
    this.#flag(name, "list");
    return (this.#given.get(name) ?? []).flatMap((text) =>
      text.split(",").map((part) => part.trim()),
    );
  }

  /** A number as it was given: it may be beyond those that are exact here. */
  integer(name: string): bigint {
    const { type } = this.#flag(name);
    return BigInt(this.#last(name, type === "uint" ? "uint" : "int"));
  }

  milliseconds(name: string): number {
    return Number(this.#last(name, "duration"));
  }

  #last(name: string, type: GoFlag["type"]): string {
    const flag = this.#flag(name, type);
    return this.#given.get(name)?.at(-1) ?? flag.default ?? (type === "text" ? "" : "0");
  }

  #flag(name: string, type?: GoFlag["type"]): GoFlag {
    const flag = this.#flags.get(name);
    if (flag === undefined || (type !== undefined && flag.type !== type)) {
      throw new Error(`No flag --${name} of type ${type}`);
    }
    return flag;
  }
}

export interface GoFlagsOptions {
  readonly flags: readonly GoFlag[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether the first word ends the flags, as a command's name does; else they may stand behind words. */
  readonly stopsAtWord: boolean;
}

export interface ParsedGoFlags {
  readonly values: GoFlagValues;
  readonly words: readonly string[];
  readonly asksForHelp: boolean;
  readonly asksForVersion: boolean;
}

/** Parses a command line as the Go tool's library does: one or two dashes, `--flag value` or `--flag=value`. @throws GoUsageError */
export function parseGoFlags(argv: readonly string[], options: GoFlagsOptions): ParsedGoFlags {
  const { flags, env, stopsAtWord } = options;
  const given = new GivenFlags(flags, env);
  const words: string[] = [];
  const asked = new Set<string>();
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? "";
    const [, name = "", inline] = /^--?([^=-][^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    const isEnd = word === "--";
    if (isEnd || (name === "" && stopsAtWord)) {
      words.push(...argv.slice(isEnd ? index + 1 : index));
      break;
    }
    const flag = given.find(name);
    if (name === "") words.push(word);
    else if (flag === undefined) asked.add(builtinOf(name, stopsAtWord));
    else {
      const isAlone = inline !== undefined || flag.type === "bool";
      if (!isAlone) index += 1;
      given.add(flag, { name, word, value: isAlone ? (inline ?? "true") : argv[index] });
    }
  }
  return {
    values: new GoFlagValues(flags, given.values),
    words,
    asksForHelp: asked.has("help"),
    asksForVersion: asked.has("version"),
  };
}

/** The flags that every command has. @throws GoUsageError for others */
function builtinOf(name: string, hasVersion: boolean): "help" | "version" {
  if (name === "help" || name === "h") return "help";
  if (hasVersion && (name === "version" || name === "v")) return "version";
  throw new GoUsageError(`flag provided but not defined: -${name.slice(0, 100)}`);
}

/** Values by the flags' first names; what the command line says takes the place of the environment's. */
class GivenFlags {
  readonly values = new Map<string, readonly string[]>();
  readonly #byName: ReadonlyMap<string, GoFlag>;
  readonly #fromEnvironment = new Set<string>();

  constructor(flags: readonly GoFlag[], env: GoFlagsOptions["env"]) {
    this.#byName = new Map(
      flags.flatMap((flag) => flag.names.map((name) => [name, flag] as const)),
    );
    for (const { names, env: variable } of flags) {
      const value = variable === undefined ? undefined : env[variable];
      if (value === undefined || value === "") continue;
      this.values.set(names[0], [value]);
      this.#fromEnvironment.add(names[0]);
    }
  }

  find(name: string): GoFlag | undefined {
    return this.#byName.get(name);
  }

  /** Adds a value; `name` is the one that was used, in `word`. @throws GoUsageError */
  add(
    flag: GoFlag,
    {
      name,
      word,
      value,
    }: { readonly name: string; readonly word: string; readonly value: string | undefined },
  ): void {
    if (value === undefined) throw new GoUsageError(`flag needs an argument: ${word}`);
    const [key] = flag.names;
    const before = this.#fromEnvironment.delete(key) ? [] : (this.values.get(key) ?? []);
    this.values.set(key, [...before, checked(flag, name, value)]);
  }
}

function checked(flag: GoFlag, name: string, text: string): string {
  const problem = flag.check?.(text) ?? problemOf(flag, text);
  if (problem === undefined) return normal(flag, text);
  throw new GoUsageError(`invalid value ${JSON.stringify(text)} for flag -${name}: ${problem}`);
}

function problemOf({ type }: GoFlag, text: string): string | undefined {
  switch (type) {
    case "bool":
      return BOOLEANS.has(text) ? undefined : "parse error";
    case "int":
      return integerProblem(text, {
        call: "ParseInt",
        form: /^[+-]?\d+$/,
        isIn: (value) => value <= MAX_INT64 && value >= -MAX_INT64 - 1n,
      });
    case "uint":
      return integerProblem(text, {
        call: "ParseUint",
        form: /^\d+$/,
        isIn: (value) => value <= MAX_UINT64,
      });
    case "duration":
      return durationMs(text) === undefined
        ? `time: ${SECONDS_ONLY.test(text) ? "missing unit in" : "invalid"} duration ${JSON.stringify(text)}`
        : undefined;
    default:
      return undefined;
  }
}

function integerProblem(
  text: string,
  {
    call,
    form,
    isIn,
  }: {
    readonly call: string;
    readonly form: RegExp;
    readonly isIn: (value: bigint) => boolean;
  },
): string | undefined {
  const parsing = `strconv.${call}: parsing ${JSON.stringify(text)}`;
  if (!form.test(text)) return `${parsing}: invalid syntax`;
  return isIn(BigInt(text.replace(/^\+/, ""))) ? undefined : `${parsing}: value out of range`;
}

const TRUE = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const BOOLEANS = new Set([...TRUE, "0", "f", "F", "false", "FALSE", "False"]);

function normal({ type }: GoFlag, text: string): string {
  if (type === "bool") return String(TRUE.has(text));
  if (type === "duration") return String(durationMs(text) ?? 0);
  return type === "int" || type === "uint" ? text.replace(/^\+/, "") : text;
}

/** Days are ours, not Go's. */
function durationMs(text: string): number | undefined {
  if (/d/.test(text)) return undefined;
  const [, sign = "", amount = ""] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  try {
    const ms = parseDuration(amount);
    return sign === "-" ? -ms : ms;
  } catch (error) {
    if (error instanceof SociError) return undefined;
    throw error;
  }
}
