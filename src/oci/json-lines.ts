/** Where the keys of a JSON text stand, or where it stops being JSON. */
export type JsonLines =
  { readonly lineOf: (keys: readonly string[]) => number } | { readonly errorLine: number };

const MAX_DEPTH = 64;
const SPACE = /[ \t\r\n]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SCALAR = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y;

/** Looks a JSON text over for the lines of its keys: messages about settings name them. https://www.rfc-editor.org/rfc/rfc8259 */
export function jsonLines(text: string): JsonLines {
  const scanner = new JsonScanner(text);
  return scanner.scan()
    ? {
        lineOf: (keys) => lineAt(text, scanner.offsetOf(keys)),
      }
    : { errorLine: lineAt(text, scanner.at) };
}

class JsonScanner {
  at = 0;
  readonly #text: string;
  readonly #offsets = new Map<string, number>();

  constructor(text: string) {
    this.#text = text;
  }

  /** Whether all of it is one JSON value; if not, `at` is where it goes wrong. */
  scan(): boolean {
    const isValue = this.#value([]);
    this.#match(SPACE);
    return isValue && this.at === this.#text.length;
  }

  /** Of a key, or of the nearest table around it. */
  offsetOf(keys: readonly string[]): number {
    for (let length = keys.length; length > 0; length--) {
      const offset = this.#offsets.get(idOf(keys.slice(0, length)));
      if (offset !== undefined) {
        return offset;
      }
    }
    return 0;
  }

  #value(keys: readonly string[]): boolean {
    this.#match(SPACE);
    if (keys.length > MAX_DEPTH) {
      return false;
    }
    switch (this.#text[this.at]) {
      case "{":
        return this.#items("}", () => this.#member(keys));
      case "[":
        return this.#items("]", (index) => this.#value([...keys, String(index)]));
      case '"':
        return this.#match(STRING) !== undefined;
      default:
        return this.#match(SCALAR) !== undefined;
    }
  }

  #member(keys: readonly string[]): boolean {
    this.#match(SPACE);
    const start = this.at;
    const name = this.#match(STRING);
    if (name === undefined) {
      return false;
    }
    const path = [...keys, String(JSON.parse(name))];
    this.#offsets.set(idOf(path), start);
    this.#match(SPACE);
    return this.#skip(":") && this.#value(path);
  }

  #items(end: string, item: (index: number) => boolean): boolean {
    this.at += 1;
    this.#match(SPACE);
    if (this.#skip(end)) {
      return true;
    }
    for (let index = 0; item(index); index++) {
      this.#match(SPACE);
      if (this.#skip(end)) {
        return true;
      }
      if (!this.#skip(",")) {
        return false;
      }
    }
    return false;
  }

  #skip(character: string): boolean {
    const isThere = this.#text[this.at] === character;
    this.at += isThere ? 1 : 0;
    return isThere;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const [found] = pattern.exec(this.#text) ?? [];
    this.at += found?.length ?? 0;
    return found;
  }
}

function idOf(keys: readonly string[]): string {
  return JSON.stringify(keys);
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}
