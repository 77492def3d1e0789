import { SociError } from "../errors.ts";

/** A mapping of a YAML file, whose values are read with their types checked. No value is ever quoted: it may be a secret. */
export class YamlTable {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #file: string;
  readonly #at: string;

  /** @throws failed-precondition unless `value` is a mapping */
  constructor(value: unknown, file: string, at = "") {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw wrong(file, at === "" ? "it" : at, "is no mapping");
    }
    this.#values = value as Readonly<Record<string, unknown>>;
    this.#file = file;
    this.#at = at;
  }

  /** Whether the key is there with something in it. */
  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  /** Absent when empty, too. */
  string(key: string): string | undefined {
    const value = this.#get(key);
    if (value !== undefined && typeof value !== "string") {
      throw this.wrong(key, "is no string: if it shall be one, put it in quotes");
    }
    return value === "" ? undefined : value;
  }

  boolean(key: string): boolean | undefined {
    const value = this.#get(key);
    if (value !== undefined && typeof value !== "boolean") {
      throw this.wrong(key, "is neither true nor false");
    }
    return value;
  }

  table(key: string): YamlTable | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : new YamlTable(value, this.#file, this.#pathOf(key));
  }

  /** The mappings of a list; none when absent. */
  tables(key: string): readonly YamlTable[] {
    const value = this.#get(key) ?? [];
    if (!Array.isArray(value)) {
      throw this.wrong(key, "is no list");
    }
    return value.map(
      (item: unknown, index) => new YamlTable(item, this.#file, `${this.#pathOf(key)}[${index}]`),
    );
  }

  /** The error about a key: file, key, and what is wrong with it. */
  wrong(key: string, what: string): SociError {
    return wrong(this.#file, this.#pathOf(key), what);
  }

  #pathOf(key: string): string {
    return this.#at === "" ? key : `${this.#at}.${key}`;
  }

  #get(key: string): unknown {
    return Object.hasOwn(this.#values, key) ? (this.#values[key] ?? undefined) : undefined;
  }
}

function wrong(file: string, key: string, what: string): SociError {
  return new SociError("failed-precondition", `Cannot use "${file}": ${key} ${what}`);
}
