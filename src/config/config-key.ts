/** What a key does here: what it says; something near it; nothing. */
export type KeyMark = "honoured" | "mapped" | "ignored";

interface KeyBase {
  readonly mark: KeyMark;
  /** One sentence: what the key decides, or why it decides nothing. */
  readonly why: string;
}

interface Defaults<T> {
  /** As the Go snapshotter has it. */
  readonly default: T;
  /** Under our own name, where that differs. */
  readonly sociable?: T;
}

export interface StringKey extends KeyBase, Defaults<string> {
  readonly kind: "string";
}

export interface BooleanKey extends KeyBase, Defaults<boolean> {
  readonly kind: "boolean";
}

export interface IntegerKey extends KeyBase, Defaults<number> {
  readonly kind: "integer";
  /** The least that is taken; any negative number when absent. */
  readonly min?: number;
  /** Whether 0 stands for the default, as for most numbers of the Go snapshotter. */
  readonly zeroIsDefault?: boolean;
}

export interface ChoiceKey extends KeyBase, Defaults<string> {
  readonly kind: "choice";
  readonly choices: readonly [string, ...string[]];
}

/** A text as parseSize() reads it, or a number of bytes; in the configuration a number. */
export interface SizeKey extends KeyBase, Defaults<number> {
  readonly kind: "size";
}

export interface StringsKey extends KeyBase, Defaults<readonly string[]> {
  readonly kind: "strings";
}

export type LeafKey = StringKey | BooleanKey | IntegerKey | ChoiceKey | SizeKey | StringsKey;

/** A table: `[blob]`. */
export interface TableKey {
  readonly kind: "table";
  readonly keys: KeyTable;
}

/** A table for each of some names: `[resolver.host."example.com"]`. */
export interface NamedTablesKey extends KeyBase {
  readonly kind: "named-tables";
  /** The names that there are; any when absent. */
  readonly names?: readonly string[];
  readonly keys: KeyTable;
}

/** An array of tables: `mirrors = [{ host = "…" }]`. */
export interface TableListKey extends KeyBase {
  readonly kind: "table-list";
  readonly keys: KeyTable;
}

export type ConfigKey = LeafKey | TableKey | NamedTablesKey | TableListKey;

/** By name, as it stands in the file. */
export interface KeyTable {
  readonly [name: string]: ConfigKey;
}

type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S;

type FieldName<S> = S extends string ? Uncapitalize<CamelCase<S>> : never;

type ValueOf<K> = K extends { readonly kind: "boolean" }
  ? boolean
  : K extends { readonly kind: "integer" | "size" }
    ? number
    : K extends { readonly kind: "choice"; readonly choices: readonly (infer C)[] }
      ? C
      : K extends { readonly kind: "strings" }
        ? readonly string[]
        : K extends { readonly kind: "table"; readonly keys: infer T }
          ? ConfigOf<T>
          : K extends { readonly kind: "named-tables"; readonly keys: infer T }
            ? ReadonlyMap<string, ConfigOf<T>>
            : K extends { readonly kind: "table-list"; readonly keys: infer T }
              ? readonly ConfigOf<T>[]
              : string;

/** What a table of keys becomes when it is read: the same names in camel case. */
export type ConfigOf<T> = { readonly [N in keyof T as FieldName<N>]: ValueOf<T[N]> };

/** `max_lru_cache_entry` → `maxLruCacheEntry`, `DialTimeoutMsec` → `dialTimeoutMsec`. */
export function fieldName(key: string): string {
  const camel = key.replace(/_+(\w)/g, (_, letter: string) => letter.toUpperCase());
  return camel.charAt(0).toLowerCase() + camel.slice(1);
}
