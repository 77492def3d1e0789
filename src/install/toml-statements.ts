import { parse, type TomlTable } from "smol-toml";
import { SociError } from "../errors.ts";

/** One `key = value` of a TOML file, or the head of a table, with the lines it stands on. */
export interface TomlStatement {
  /** `entry` is `[[path]]`. */
  readonly kind: "key" | "table" | "entry";
  /** From the root of the document on; of a key, with the table that it stands in. */
  readonly path: readonly string[];
  /** First line, counted from 0. */
  readonly start: number;
  /** The line after the last one. */
  readonly end: number;
}

const MAX_STATEMENT_LINES = 5000;

/**
 * The statements of a TOML file, in order; lines between them are empty or comments.
 * @throws failed-precondition when it is not TOML
 */
export function tomlStatements(raw: readonly string[]): readonly TomlStatement[] {
  // A carriage return is part of a line's end, and alone it is nothing.
  const lines = raw.map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  const statements: TomlStatement[] = [];
  let table: readonly string[] = [];
  let start = 0;
  while (start < lines.length) {
    const line = lines[start] ?? "";
    if (/^\s*(?:#|$)/.test(line)) {
      start += 1;
      continue;
    }
    const end = statementEnd(lines, start);
    const text = lines.slice(start, end).join("\n");
    if (/^\s*\[/.test(line)) {
      table = pathOf(parse(text));
      statements.push({ kind: /^\s*\[\[/.test(line) ? "entry" : "table", path: table, start, end });
    } else {
      statements.push({ kind: "key", path: [...table, ...keyPath(text)], start, end });
    }
    start = end;
  }
  return statements;
}

/** A statement is whole at the first line with which it can be parsed. */
function statementEnd(lines: readonly string[], start: number): number {
  const last = Math.min(lines.length, start + MAX_STATEMENT_LINES);
  for (let end = start + 1; end <= last; end += 1) {
    if (isToml(lines.slice(start, end).join("\n"))) return end;
  }
  throw new SociError(
    "failed-precondition",
    `Cannot read a TOML file: what begins on line ${start + 1} does not end`,
  );
}

/** Whether the text is a TOML document. */
export function isToml(text: string): boolean {
  try {
    parse(text);
    return true;
  } catch {
    // The parser says it so.
    return false;
  }
}

function keyPath(statement: string): readonly string[] {
  // The key ends at the first `=` with which what is before it is a key.
  for (let at = statement.indexOf("="); at >= 0; at = statement.indexOf("=", at + 1)) {
    const probe = `${statement.slice(0, at)} = 0`;
    if (isToml(probe)) return pathOf(parse(probe));
  }
  throw new Error("a statement that was parsed has no key");
}

/** The only way down, to what is no table or is empty. */
function pathOf(table: TomlTable): readonly string[] {
  const path: string[] = [];
  let at: unknown = table;
  for (;;) {
    const value: unknown = Array.isArray(at) ? at[0] : at;
    if (typeof value !== "object" || value === null) return path;
    const [entry] = Object.entries(value);
    if (entry === undefined) return path;
    path.push(entry[0]);
    at = entry[1];
  }
}
