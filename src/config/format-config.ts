import { stringify } from "smol-toml";
import { type Config, unsettledDefaults } from "./config.ts";
import {
  type ConfigKey,
  fieldName,
  type KeyTable,
  type LeafKey,
  type TableKey,
  type NamedTablesKey,
  type TableListKey,
} from "./config-key.ts";
import { CONFIG_KEYS } from "./config-keys.ts";
import type { Personality } from "./personality.ts";

export interface FormatConfigOptions {
  /** Whether each key has a comment that says what it does here. */
  readonly marks: boolean;
}

type Path = readonly string[];
type Fields = Readonly<Record<string, unknown>>;

/** The configuration as a TOML file with every key in it, which loadConfig() reads back. */
export function formatConfig(config: Config, { marks }: FormatConfigOptions): string {
  const lines = Array.from(tableLines(CONFIG_KEYS, { fields: config, at: [], marks }));
  return `${lines.join("\n").trim()}\n`;
}

/** The defaults as a TOML file, in which a key that takes another's value by default still does. */
export function formatDefaults(personality: Personality, options: FormatConfigOptions): string {
  return formatConfig(unsettledDefaults(personality), options);
}

interface TableAt extends FormatConfigOptions {
  readonly fields: Fields;
  readonly at: Path;
}

function* tableLines(keys: KeyTable, { fields, at, marks }: TableAt): Generator<string> {
  const entries = Object.entries(keys).map(([name, key]) => ({
    key,
    name,
    value: fields[fieldName(name)],
  }));
  const leaves = entries.filter(({ key }) => !hasTables(key));
  if (leaves.length > 0 && at.length > 0) yield `\n[${at.map(tomlKey).join(".")}]`;
  for (const { name, key, value } of leaves) {
    if (hasTables(key)) continue;
    const comment = marks ? ` # ${key.mark}: ${key.why}` : "";
    yield `${tomlKey(name)} = ${tomlText(plainOf(key, value))}${comment}`;
  }
  for (const { name, key, value } of entries) {
    const path = [...at, name];
    if (key.kind === "table") {
      yield* tableLines(key.keys, { fields: asFields(value), at: path, marks });
    } else if (key.kind === "named-tables" && value instanceof Map) {
      for (const [inner, table] of value) {
        const innerAt = [...path, String(inner)];
        yield* tableLines(key.keys, { fields: asFields(table), at: innerAt, marks });
      }
    }
  }
}

function hasTables(key: ConfigKey): key is TableKey | NamedTablesKey {
  return key.kind === "table" || key.kind === "named-tables";
}

/** The value as it stands in a file. */
function plainOf(key: LeafKey | TableListKey, value: unknown): unknown {
  if (key.kind === "size") return sizeText(Number(value));
  if (key.kind !== "table-list" || !Array.isArray(value)) return value;
  return value.map((item: unknown) => {
    const fields = asFields(item);
    return Object.fromEntries(Object.keys(key.keys).map((name) => [name, fields[fieldName(name)]]));
  });
}

function sizeText(bytes: number): string {
  if (bytes === 0) return "";
  const units = ["b", "kb", "mb", "gb"];
  let value = bytes;
  let unit = 0;
  while (value % 1024 === 0 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value}${units[unit]}`;
}

/** One line, also for an array of tables. */
function tomlText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlText).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const pairs = Object.entries(value).map(([key, item]) => `${tomlKey(key)} = ${tomlText(item)}`);
    return `{ ${pairs.join(", ")} }`;
  }
  return stringify({ value }).trim().slice("value = ".length);
}

function tomlKey(name: string): string {
  return /^[\w-]+$/.test(name) ? name : tomlText(name);
}

function asFields(value: unknown): Fields {
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value))
    : {};
}
