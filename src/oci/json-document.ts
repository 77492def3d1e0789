import { SociError } from "../errors.ts";

export interface JsonLimits {
  readonly maxBytes?: number;
  /** How deep arrays and objects may nest. */
  readonly maxDepth?: number;
  /** Whether the text may hold secrets: the parser's own message, which quotes it, is then left out. */
  readonly isSecret?: boolean;
}

/** Registries take manifests of up to 4 MiB; so do we. https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests */
export const MAX_JSON_BYTES = 4 * 1024 * 1024;
const MAX_JSON_DEPTH = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Parses hostile JSON: size, nesting and UTF-8 are checked first. `what` names it in errors. @throws data-loss */
export function parseJson(
  bytes: Uint8Array,
  what: string,
  { maxBytes = MAX_JSON_BYTES, maxDepth = MAX_JSON_DEPTH, isSecret = false }: JsonLimits = {},
): unknown {
  if (bytes.length > maxBytes) {
    throw new SociError(
      "data-loss",
      `Cannot parse ${what}: it has ${bytes.length} bytes, want at most ${maxBytes}`,
    );
  }
  checkDepth(bytes, what, maxDepth);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new SociError(
      "data-loss",
      `Cannot parse ${what}: it is no JSON in UTF-8`,
      isSecret ? {} : { cause },
    );
  }
}

// JSON.parse recurses natively: nesting is bounded before it sees the text.
function checkDepth(bytes: Uint8Array, what: string, maxDepth: number): void {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inString) {
      if (byte === BACKSLASH) {
        at += 1;
      } else if (byte === QUOTE) {
        inString = false;
      }
    } else if (byte === QUOTE) {
      inString = true;
    } else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      if (depth > maxDepth) {
        throw new SociError(
          "data-loss",
          `Cannot parse ${what}: nesting is over ${maxDepth} deep at byte ${at}`,
        );
      }
    } else if (byte === 0x5d || byte === 0x7d) {
      depth -= 1;
    }
  }
}

/** A JSON object whose fields are read with their types checked; errors name the path. */
export class JsonObject {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #what: string;
  readonly #path: string;

  /** @throws data-loss unless `value` is an object */
  constructor(value: unknown, what: string, path = "") {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw wrongType(what, path === "" ? "the document" : path, value, "an object");
    }
    this.#fields = value as Readonly<Record<string, unknown>>;
    this.#what = what;
    this.#path = path;
  }

  get what(): string {
    return this.#what;
  }

  /** Where a field stands, as in `layers[2].digest`. */
  pathOf(key: string): string {
    return this.#path === "" ? key : `${this.#path}.${key}`;
  }

  /** Whether the field is there; null counts as absent, as it does in Go. */
  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  string(key: string): string {
    return this.optionalString(key) ?? this.#missing(key);
  }

  optionalString(key: string): string | undefined {
    const value = this.#get(key);
    if (value !== undefined && typeof value !== "string") {
      throw this.#wrong(key, value, "a string");
    }
    return value;
  }

  /** A whole number from 0 to 2^53-1. */
  size(key: string): number {
    const value = this.#get(key) ?? this.#missing(key);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      throw this.#wrong(key, value, "a whole number of 0 or more");
    }
    return value;
  }

  object(key: string): JsonObject {
    return new JsonObject(this.#get(key) ?? this.#missing(key), this.#what, this.pathOf(key));
  }

  optionalObject(key: string): JsonObject | undefined {
    return this.has(key) ? this.object(key) : undefined;
  }

  /** The objects of an array of at most `maxLength`; an absent array is `undefined`. */
  optionalObjects(key: string, maxLength: number): JsonObject[] | undefined {
    return this.#array(key, maxLength)?.map(
      (value, index) => new JsonObject(value, this.#what, `${this.pathOf(key)}[${index}]`),
    );
  }

  optionalStrings(key: string, maxLength: number): string[] | undefined {
    return this.#array(key, maxLength)?.map((value, index) => {
      if (typeof value !== "string") {
        throw wrongType(this.#what, `${this.pathOf(key)}[${index}]`, value, "a string");
      }
      return value;
    });
  }

  /** An object whose values are all strings. */
  optionalStringMap(key: string): Readonly<Record<string, string>> | undefined {
    const value = this.#get(key);
    if (value === undefined) {
      return undefined;
    }
    const map = new JsonObject(value, this.#what, this.pathOf(key));
    // fromEntries defines own properties, also for a key like "__proto__".
    return Object.fromEntries(Object.keys(map.#fields).map((name) => [name, map.string(name)]));
  }

  #array(key: string, maxLength: number): readonly unknown[] | undefined {
    const value = this.#get(key);
    if (value === undefined) {
      return undefined;
    }
    if (!Array.isArray(value)) {
      throw this.#wrong(key, value, "an array");
    }
    if (value.length > maxLength) {
      throw new SociError(
        "data-loss",
        `Cannot parse ${this.#what}: ${this.pathOf(key)} has ${value.length} items, want at most ${maxLength}`,
      );
    }
    return value;
  }

  #get(key: string): unknown {
    return Object.hasOwn(this.#fields, key) ? (this.#fields[key] ?? undefined) : undefined;
  }

  #missing(key: string): never {
    throw new SociError("data-loss", `Cannot parse ${this.#what}: ${this.pathOf(key)} is missing`);
  }

  #wrong(key: string, value: unknown, want: string): SociError {
    return wrongType(this.#what, this.pathOf(key), value, want);
  }
}

function wrongType(what: string, path: string, value: unknown, want: string): SociError {
  const found =
    typeof value === "number" ? `${value}` : Array.isArray(value) ? "an array" : typeof value;
  return new SociError("data-loss", `Cannot parse ${what}: ${path} is ${found}, want ${want}`);
}
