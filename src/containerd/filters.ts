import { SociError } from "../errors.ts";
import { FilterScanner, type FilterToken } from "./filter-scanner.ts";
import { goRegExp } from "./go-regexp.ts";
import { unquoteFilter } from "./unquote-filter.ts";

/** The value of an object's field, by the parts of its path; `undefined` when it is not there. */
export type FieldAdaptor = (fieldpath: readonly string[]) => string | undefined;

/** Whether an object is meant. */
export type Filter = (adaptor: FieldAdaptor) => boolean;

const ALWAYS: Filter = () => true;

/**
 * containerd's filters: `fieldpath[(==|!=|~=)value]`, several by comma of which all must be met; of
 * several filters one must be. No filter, and an empty one, mean every object. A regular expression
 * that is none matches nothing.
 * https://github.com/containerd/containerd/blob/main/pkg/filters/parser.go
 * @throws invalid-argument with the place
 */
export function parseFilters(texts: readonly string[]): Filter {
  if (texts.length === 0) return ALWAYS;
  const filters = texts.map((text) => (text === "" ? ALWAYS : new FilterParser(text).parse()));
  return (adaptor) => filters.some((filter) => filter(adaptor));
}

/** The label of a path behind `labels`: its parts are one key, whose dots need no quotes. */
export function labelOf(
  labels: Readonly<Record<string, string>>,
  path: readonly string[],
): string | undefined {
  const key = path.join(".");
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

class FilterParser {
  readonly #text: string;
  readonly #scanner: FilterScanner;

  constructor(text: string) {
    this.#text = text;
    this.#scanner = new FilterScanner(text);
  }

  parse(): Filter {
    const selectors = [this.#selector()];
    for (;;) {
      const next = this.#scanner.peek();
      if (next === "") return (adaptor) => selectors.every((selector) => selector(adaptor));
      if (next !== ",") throw this.#error(this.#scanner.position, "unexpected input");
      this.#scanner.scan();
      selectors.push(this.#selector());
    }
  }

  #selector(): Filter {
    const path = this.#fieldpath();
    const next = this.#scanner.peek();
    if (next === "" || next === ",") return (adaptor) => adaptor(path) !== undefined;
    const operator = this.#scanner.scan();
    if (operator.kind !== "operator") throw this.#unwanted(operator, "an operator (== != ~=)");
    switch (operator.text) {
      case "==": {
        const value = this.#value(false);
        return (adaptor) => adaptor(path) === value;
      }
      case "!=": {
        const value = this.#value(false);
        // What is not there is empty, which is not the value either.
        return (adaptor) => (adaptor(path) ?? "") !== value;
      }
      case "~=": {
        const regExp = goRegExp(this.#value(true));
        return (adaptor) => regExp?.test(adaptor(path) ?? "") ?? false;
      }
      default:
        throw this.#error(operator.at, `no operator "${operator.text}", want == != ~=`);
    }
  }

  #fieldpath(): readonly string[] {
    const path = [this.#field()];
    while (this.#scanner.peek() === ".") {
      this.#scanner.scan();
      path.push(this.#field());
    }
    return path;
  }

  #field(): string {
    const token = this.#scanner.scan();
    if (token.kind === "field") return token.text;
    if (token.kind === "quoted") return this.#unquote(token, false);
    throw this.#unwanted(token, "a field or a quoted one");
  }

  #value(allowsOtherQuotes: boolean): string {
    const token = this.#scanner.scan();
    if (token.kind === "value" || token.kind === "field") return token.text;
    if (token.kind === "quoted") return this.#unquote(token, allowsOtherQuotes);
    throw this.#unwanted(token, "a value or a quoted one");
  }

  /** Regular expressions may stand in / or |, too. */
  #unquote(token: FilterToken, allowsOtherQuotes: boolean): string {
    if (!allowsOtherQuotes && !token.text.startsWith('"')) {
      throw this.#error(token.at, 'no such quotes here, want "');
    }
    const value = unquoteFilter(token.text);
    if (value === undefined) throw this.#error(token.at, "a quoted literal that is none");
    return value;
  }

  #unwanted(token: FilterToken, want: string): SociError {
    return this.#error(token.at, token.kind === "illegal" ? this.#scanner.error : `want ${want}`);
  }

  #error(at: number, what: string): SociError {
    return new SociError(
      "invalid-argument",
      `Cannot parse filter ${JSON.stringify(this.#text)}: at character ${at}: ${what}`,
    );
  }
}
