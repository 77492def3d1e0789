/** What the scanner of filters finds. `text` is as written, quotes included. */
export interface FilterToken {
  readonly kind:
    "end" | "quoted" | "value" | "field" | "separator" | "operator" | "illegal" | "other";
  readonly text: string;
  /** In characters from the start. */
  readonly at: number;
}

const END = "";
const SPACE = /^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/;
const FIELD = /^[A-Za-z0-9_]$/;
const VALUE = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u;
const OPERATOR = /^[=!~]$/;
const QUOTE = /^["/|]$/;
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/**
 * Cuts a filter into tokens as containerd's scanner does, oddities included: what `/` is depends on
 * where it stands, and space counts for nothing between tokens.
 * https://github.com/containerd/containerd/blob/main/pkg/filters/scanner.go
 */
export class FilterScanner {
  readonly #characters: readonly string[];
  #next = 0;
  /** Whether an operator came: then what follows is a value, whatever it is made of. */
  #wantsValue = false;
  #error: string | undefined;

  constructor(text: string) {
    this.#characters = Array.from(text);
  }

  get position(): number {
    return this.#next;
  }

  /** What was wrong with an illegal token. */
  get error(): string {
    return this.#error ?? "illegal input";
  }

  /** The character that comes next, space included; empty at the end. */
  peek(): string {
    return this.#characters[this.#next] ?? END;
  }

  scan(): FilterToken {
    let at = this.#next;
    let first = this.#take();
    while (SPACE.test(first)) {
      at = this.#next;
      first = this.#take();
    }
    const token = (kind: FilterToken["kind"]): FilterToken => ({
      kind,
      at,
      text: this.#characters.slice(at, this.#next).join(""),
    });
    if (first === END) return token("end");
    if (isIllegal(first)) {
      this.#error ??= "a character that is none";
      return token("illegal");
    }
    if (QUOTE.test(first)) return token(this.#scanQuoted(first) ? "quoted" : "illegal");
    if (first === "," || first === ".") {
      this.#wantsValue = false;
      return token("separator");
    }
    if (OPERATOR.test(first)) {
      this.#takeWhile(OPERATOR);
      this.#wantsValue = true;
      return token("operator");
    }
    if (this.#wantsValue) {
      this.#takeValue();
      this.#wantsValue = false;
      return token("value");
    }
    if (FIELD.test(first)) {
      this.#takeWhile(FIELD);
      return token("field");
    }
    return token("other");
  }

  #take(): string {
    const character = this.peek();
    if (character !== END) this.#next += 1;
    return character;
  }

  #takeWhile(kind: RegExp): void {
    while (kind.test(this.peek())) this.#next += 1;
  }

  #takeValue(): void {
    while (this.peek() !== "," && VALUE.test(this.peek())) this.#next += 1;
  }

  #scanQuoted(quote: string): boolean {
    let isLegal = true;
    let character = this.#take();
    while (character !== quote) {
      if (character === END || character === "\n" || isIllegal(character)) {
        this.#error ??= "a quoted literal without its end";
        return false;
      }
      if (character === "\\") {
        const after = this.#scanEscape(quote);
        isLegal &&= after.isLegal;
        character = after.character;
      } else {
        character = this.#take();
      }
    }
    return isLegal;
  }

  #scanEscape(quote: string): { readonly character: string; readonly isLegal: boolean } {
    const kind = this.#take();
    if (kind === quote || (kind !== END && "abfnrtv\\".includes(kind))) {
      return { character: this.#take(), isLegal: true };
    }
    if (/^[0-7]$/.test(kind)) return this.#scanDigits(kind, /^[0-7]$/, 3);
    const digits = HEX_DIGITS[kind];
    if (digits !== undefined) return this.#scanDigits(this.#take(), /^[0-9a-fA-F]$/, digits);
    this.#error ??= "an escape sequence that is none";
    return { character: kind, isLegal: false };
  }

  #scanDigits(
    first: string,
    digit: RegExp,
    count: number,
  ): { readonly character: string; readonly isLegal: boolean } {
    let character = first;
    let left = count;
    while (left > 0 && digit.test(character)) {
      character = this.#take();
      left -= 1;
    }
    if (left > 0) this.#error ??= "a numeric escape sequence that is none";
    return { character, isLegal: left === 0 };
  }
}

/** What Go's scanner refuses: a byte that is no UTF-8 (or its replacement), and NUL. */
function isIllegal(character: string): boolean {
  return character === "\ufffd" || character === "\0";
}
