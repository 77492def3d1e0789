import { tomlLine } from "../oci/toml-lines.ts";
import {
  type ConfigKey,
  fieldName,
  type IntegerKey,
  type KeyTable,
  type LeafKey,
  type NamedTablesKey,
  type TableListKey,
} from "./config-key.ts";
import { nearestName } from "./nearest-name.ts";
import { parseSize } from "./parse-size.ts";
import type { Personality } from "./personality.ts";

/** Something to say about a key of a configuration file. */
export interface ConfigFinding {
  /** From 1. */
  readonly line: number;
  /** Dotted, as TOML writes it. */
  readonly key: string;
  /** Goes on after the key, as in `is a string, want an integer`. */
  readonly detail: string;
}

type Path = readonly string[];
type Fields = Record<string, unknown>;

// A value is quoted up to here: enough to know it again.
const MAX_QUOTED = 80;
// Nobody wants to read more.
const MAX_FINDINGS = 100;

/** Reads the document of a TOML file by a table of keys; collects everything that there is to say. */
export class ConfigReader {
  /** What keeps the file from being used. */
  readonly problems: ConfigFinding[] = [];
  readonly warnings: ConfigFinding[] = [];
  readonly #text: string;
  readonly #personality: Personality;
  readonly #known: KeyTable;

  constructor(
    keys: KeyTable,
    { text, personality }: { readonly text: string; readonly personality: Personality },
  ) {
    this.#known = keys;
    this.#text = text;
    this.#personality = personality;
  }

  /** The fields that the keys make; the default where a key is absent or its value is wrong. */
  read(document: unknown): Fields {
    return this.#table(this.#known, document, []);
  }

  /** Notes that a value cannot be used, and goes on. */
  refuse(path: Path, detail: string): void {
    this.#add(this.problems, path, detail);
  }

  #table(keys: KeyTable, value: unknown, at: Path): Fields {
    const table = this.#asTable(value, at);
    for (const name of Object.keys(table)) {
      if (!Object.hasOwn(keys, name)) this.#unknown(keys, [...at, name]);
    }
    return Object.fromEntries(
      Object.entries(keys).map(([name, key]) => {
        const given = Object.hasOwn(table, name) ? table[name] : undefined;
        return [fieldName(name), this.#value(key, given, [...at, name])];
      }),
    );
  }

  #value(key: ConfigKey, given: unknown, at: Path): unknown {
    switch (key.kind) {
      case "table":
        return this.#table(key.keys, given, at);
      case "named-tables":
        return this.#namedTables(key, given, at);
      case "table-list":
        return this.#tableList(key, given, at);
      default:
        return this.#leaf(key, given, at);
    }
  }

  #namedTables(key: NamedTablesKey, given: unknown, at: Path): ReadonlyMap<string, Fields> {
    const table = this.#asTable(given, at);
    const tables = new Map<string, Fields>();
    for (const [name, value] of Object.entries(table)) {
      const path = [...at, name];
      if (key.names !== undefined && !key.names.includes(name)) {
        this.#add(this.warnings, path, `is not a name that is known: want ${key.names.join(", ")}`);
        continue;
      }
      if (key.mark === "ignored") this.#add(this.warnings, path, `has no effect: ${key.why}`);
      tables.set(name, this.#table(key.keys, value, path));
    }
    return tables;
  }

  #tableList(key: TableListKey, given: unknown, at: Path): readonly Fields[] {
    if (given === undefined) return [];
    if (!Array.isArray(given)) {
      this.refuse(at, `is ${kindOf(given)}, want an array of tables`);
      return [];
    }
    return given.map((item: unknown) => this.#table(key.keys, item, at));
  }

  #leaf(key: LeafKey, given: unknown, at: Path): unknown {
    const usual = defaultOf(key, this.#personality);
    if (given === undefined) return usual;
    const value = this.#leafValue(key, given, at);
    if (value === undefined) return usual;
    const isUsual = JSON.stringify(value) === JSON.stringify(usual);
    const isInside = at.some((_, index) => this.#isIgnored(at.slice(0, index)));
    if (key.mark === "ignored" && !isUsual && !isInside) {
      this.#add(this.warnings, at, `has no effect: ${key.why}`);
    }
    return value;
  }

  /** `undefined` where the value is wrong, which is noted. */
  #leafValue(key: LeafKey, given: unknown, at: Path): unknown {
    const wrong = (want: string): undefined => {
      this.refuse(at, `is ${kindOf(given)}, want ${want}`);
    };
    switch (key.kind) {
      case "boolean":
        return typeof given === "boolean" ? given : wrong("true or false");
      case "string":
        return typeof given === "string" ? given : wrong("a string");
      case "strings":
        return isStrings(given) ? given : wrong("an array of strings");
      case "integer":
        return Number.isSafeInteger(given)
          ? this.#integer(key, Number(given), at)
          : wrong("an integer");
      case "choice":
        if (typeof given !== "string") return wrong("a string");
        if (key.choices.includes(given)) return given;
        this.refuse(at, `is ${quoted(given)}, want ${key.choices.map(quoted).join(", ")}`);
        return undefined;
      case "size":
        if (typeof given === "string") return this.#size(given, at);
        return Number.isSafeInteger(given) && Number(given) >= 0 ? given : wrong("a size");
    }
  }

  #integer(key: IntegerKey, value: number, at: Path): number | undefined {
    if (value === 0 && key.zeroIsDefault === true) return undefined;
    if (key.min !== undefined && value < key.min) {
      this.refuse(at, `is ${value}, want ${key.min} or more`);
      return undefined;
    }
    return value;
  }

  #size(text: string, at: Path): number | undefined {
    const size = parseSize(text);
    // The Go snapshotter's words.
    if (size === undefined) this.refuse(at, `is wrong: invalid size format: ${cut(text)}`);
    return size;
  }

  #asTable(value: unknown, at: Path): Readonly<Record<string, unknown>> {
    if (isTable(value)) return value;
    if (value !== undefined) this.refuse(at, `is ${kindOf(value)}, want a table`);
    return {};
  }

  #unknown(keys: KeyTable, path: Path): void {
    const name = path.at(-1) ?? "";
    const inPlace = nearestName(name, Object.keys(keys));
    const sameElsewhere = pathsOf(this.#known, []).filter((known) => known.at(-1) === name);
    const [elsewhere] = sameElsewhere.length === 1 ? sameElsewhere : [];
    const meant =
      elsewhere ?? (inPlace === undefined ? undefined : [...path.slice(0, -1), inPlace]);
    const hint = meant === undefined ? "" : `; did you mean ${dotted(meant)}?`;
    this.#add(this.warnings, path, `is not a key that is known${hint}`);
  }

  #isIgnored(path: Path): boolean {
    let keys = this.#known;
    for (const name of path) {
      const key = Object.hasOwn(keys, name) ? keys[name] : undefined;
      if (key === undefined || !("keys" in key)) return false;
      if (key.kind !== "table" && key.mark === "ignored") return true;
      keys = key.keys;
    }
    return false;
  }

  #add(findings: ConfigFinding[], path: Path, detail: string): void {
    if (findings.length >= MAX_FINDINGS) return;
    const key = path.length === 0 ? "the document" : dotted(path);
    findings.push({ line: tomlLine(this.#text, path), key, detail });
  }
}

/** What a key is where nobody has set it. */
export function defaultOf(key: LeafKey, personality: Personality): unknown {
  return personality === "sociable" ? (key.sociable ?? key.default) : key.default;
}

function* pathsOfTable(keys: KeyTable, at: Path): Generator<Path> {
  for (const [name, key] of Object.entries(keys)) {
    const path = [...at, name];
    yield path;
    if (key.kind === "table") yield* pathsOfTable(key.keys, path);
  }
}

function pathsOf(keys: KeyTable, at: Path): readonly Path[] {
  return Array.from(pathsOfTable(keys, at));
}

function dotted(path: Path): string {
  return path.map((part) => (/^[\w-]+$/.test(part) ? part : quoted(part))).join(".");
}

function quoted(text: string): string {
  return JSON.stringify(cut(text));
}

function cut(text: string): string {
  return text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (isTable(value)) return "a table";
  return value instanceof Date ? "a date" : `a ${typeof value}`;
}
