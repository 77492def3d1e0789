import { SociError } from "../errors.ts";

/** A file of settings, as its errors name it. */
export interface SettingsFile {
  readonly path: string;
  /** The line, from 1, on which a key stands; its table's where it cannot be told. */
  readonly lineOf: (keys: readonly string[]) => number;
}

/** A table of a settings file, whose values are read with their types checked. Values are never quoted: they may be secrets. */
export class SettingsTable {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #file: SettingsFile;
  readonly #at: readonly string[];

  /** @throws failed-precondition unless `value` is a table */
  constructor(value: unknown, file: SettingsFile, at: readonly string[] = []) {
    if (!isTable(value)) {
      throw wrong(file, at, `is ${kindOf(value)}, want a table`);
    }
    this.#values = value;
    this.#file = file;
    this.#at = at;
  }

  /** In the order of the file. */
  get keys(): readonly string[] {
    return Object.keys(this.#values);
  }

  /** The value as it is; `undefined` when absent or null. */
  get(key: string): unknown {
    return Object.hasOwn(this.#values, key) ? (this.#values[key] ?? undefined) : undefined;
  }

  /** Absent when empty, too: so programs write what is not set. */
  string(key: string): string | undefined {
    const value = this.get(key);
    if (value !== undefined && typeof value !== "string") {
      throw this.wrong(key, `is ${kindOf(value)}, want a string`);
    }
    return value === "" ? undefined : value;
  }

  boolean(key: string): boolean | undefined {
    const value = this.get(key);
    if (value !== undefined && typeof value !== "boolean") {
      throw this.wrong(key, `is ${kindOf(value)}, want true or false`);
    }
    return value;
  }

  /** The strings of an array, or one alone; none when absent. */
  strings(key: string): readonly string[] {
    const value = this.get(key) ?? [];
    const list = Array.isArray(value) ? value : [value];
    return list.map((item: unknown) => {
      if (typeof item !== "string") {
        throw this.wrong(key, `holds ${kindOf(item)}, want strings`);
      }
      return item;
    });
  }

  table(key: string): SettingsTable | undefined {
    const value = this.get(key);
    return value === undefined
      ? undefined
      : new SettingsTable(value, this.#file, [...this.#at, key]);
  }

  /** The error about the name of a key, which is not quoted: it may be a secret, too. */
  wrongName(key: string, what: string): SociError {
    return wrong(this.#file, this.#at, what, [...this.#at, key]);
  }

  /** The error about a key: file, line, key, and what is wrong with it. */
  wrong(key: string, what: string): SociError {
    return wrong(this.#file, [...this.#at, key], what);
  }
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) {
    return "an array";
  }
  return isTable(value) ? "a table" : value instanceof Date ? "a date" : `a ${typeof value}`;
}

function wrong(
  { path, lineOf }: SettingsFile,
  keys: readonly string[],
  what: string,
  lineKeys: readonly string[] = keys,
): SociError {
  const key = keys.map((part) => (/^[\w-]+$/.test(part) ? part : JSON.stringify(part))).join(".");
  const name = key === "" ? "the document" : key;
  return new SociError(
    "failed-precondition",
    `Cannot use "${path}", line ${lineOf(lineKeys)}: ${name} ${what}`,
  );
}
