import { isDeepStrictEqual } from "node:util";
import { parse, stringify, type TomlTable, type TomlValue } from "smol-toml";
import { SociError } from "../errors.ts";
import { isToml, type TomlStatement, tomlStatements } from "./toml-statements.ts";

/** One change of a TOML file. */
export type TomlEdit =
  | {
      readonly kind: "set";
      readonly table: readonly string[];
      readonly key: string;
      /** As it stands in a file, `"text"` or `true`. */
      readonly value: string;
    }
  | {
      /** One more `[[table]]`. */
      readonly kind: "append";
      readonly table: readonly string[];
      readonly values: Readonly<Record<string, string>>;
    };

/** What takes an edit back. */
export interface TomlUndo {
  readonly edit: TomlEdit;
  /** The value before, as it stood there; `undefined` where there was none. */
  readonly previous?: string | undefined;
  /** Set when the table was not there before. */
  readonly madeTable?: true | undefined;
}

export interface EditedToml {
  readonly text: string;
  /** Of those edits that changed something, in their order. */
  readonly undo: readonly TomlUndo[];
}

/**
 * Makes the changes, and no other: what else is in the file keeps its bytes, comments too. An edit
 * whose value is there already changes nothing.
 * @throws failed-precondition when the file is not TOML, or cannot be changed so without being written anew
 */
export function editToml(
  text: string,
  edits: readonly TomlEdit[],
  { file }: { readonly file: string },
): EditedToml {
  let edited = text;
  const undo: TomlUndo[] = [];
  for (const edit of edits) {
    const before = parseToml(edited, file);
    const expected = parseToml(edited, file);
    if (!applyTo(expected, edit)) throw tooCompact(file, edit);
    if (isDeepStrictEqual(before, expected)) continue;
    const changed = edit.kind === "set" ? setKey(edited, edit) : appendEntry(edited, edit);
    if (!isToml(changed.text) || !isDeepStrictEqual(parse(changed.text), expected)) {
      throw tooCompact(file, edit);
    }
    edited = changed.text;
    undo.push({ edit, ...changed.undo });
  }
  return { text: edited, undo };
}

function tooCompact(file: string, edit: TomlEdit): SociError {
  return new SociError(
    "failed-precondition",
    `Cannot add to "${file}": it has ${edit.table.map(tomlKey).join(".")} in a form that takes no more`,
    { hint: `Write these lines into it:\n${editText(edit)}` },
  );
}

/** Takes edits back where their values still stand; what somebody has changed since stays. */
export function undoToml(
  text: string,
  undo: readonly TomlUndo[],
  { file }: { readonly file: string },
): string {
  let edited = text;
  for (const { edit, previous, madeTable } of undo.toReversed()) {
    const document = parseToml(edited, file);
    if (edit.kind === "append") {
      edited = removeEntry(edited, edit);
    } else if (
      isDeepStrictEqual(valueAt(document, [...edit.table, edit.key]), tomlValue(edit.value))
    ) {
      edited =
        previous === undefined
          ? removeKey(edited, edit, madeTable === true)
          : setKey(edited, { ...edit, value: previous }).text;
    }
    parseToml(edited, file);
  }
  return edited;
}

/** The value at a path of a parsed document; `undefined` where there is none. */
export function valueAt(document: TomlTable, path: readonly string[]): TomlValue | undefined {
  let at: TomlValue | undefined = document;
  for (const name of path) {
    if (!isTable(at) || !Object.hasOwn(at, name)) return undefined;
    at = at[name];
  }
  return at;
}

/** @throws failed-precondition with the line of what is wrong */
export function parseToml(text: string, file: string): TomlTable {
  try {
    return parse(text);
  } catch (cause) {
    throw new SociError("failed-precondition", `Cannot read "${file}": it is not TOML`, { cause });
  }
}

/** A string as it stands in a file. */
export function tomlString(text: string): string {
  return stringify({ text }).trim().slice("text = ".length);
}

/** The lines of an edit, as a person would write them. */
export function editText(edit: TomlEdit): string {
  const values = edit.kind === "set" ? { [edit.key]: edit.value } : edit.values;
  return [headOf(edit), ...Object.entries(values).map(keyLine)].join("\n");
}

function keyLine([key, value]: readonly [string, string]): string {
  return `  ${tomlKey(key)} = ${value}`;
}

function headOf({ kind, table }: TomlEdit): string {
  const name = table.map(tomlKey).join(".");
  return kind === "set" ? `[${name}]` : `[[${name}]]`;
}

function tomlKey(name: string): string {
  return /^[\w-]+$/.test(name) ? name : tomlString(name);
}

function isTable(value: TomlValue | undefined): value is TomlTable {
  return (
    typeof value === "object" && !Array.isArray(value) && !(value instanceof Date) && value !== null
  );
}

function tomlValue(text: string): TomlValue | undefined {
  return parse(`value = ${text}`)["value"];
}

/** Does to the parsed document what the edit does to the file; false where something else stands in its way. */
function applyTo(document: TomlTable, edit: TomlEdit): boolean {
  const path = edit.kind === "set" ? edit.table : edit.table.slice(0, -1);
  let at = document;
  for (const name of path) {
    if (!Object.hasOwn(at, name)) at[name] = parse("");
    const inner = at[name];
    if (!isTable(inner)) return false;
    at = inner;
  }
  if (edit.kind === "set") {
    const value = tomlValue(edit.value);
    if (value !== undefined) at[edit.key] = value;
    return true;
  }
  const name = edit.table.at(-1) ?? "";
  const added = entryOf(edit);
  const entries = at[name];
  if (entries === undefined) at[name] = [added];
  else if (!Array.isArray(entries)) return false;
  else if (!entries.some((entry) => isDeepStrictEqual(entry, added))) entries.push(added);
  return true;
}

function entryOf({ values }: Extract<TomlEdit, { kind: "append" }>): TomlTable {
  return parse(
    Object.entries(values)
      .map(([key, value]) => `${tomlKey(key)} = ${value}\n`)
      .join(""),
  );
}

interface Changed {
  readonly text: string;
  readonly undo: Omit<TomlUndo, "edit">;
}

function setKey(text: string, edit: Extract<TomlEdit, { kind: "set" }>): Changed {
  const lines = text.split("\n");
  const statements = tomlStatements(lines);
  const end = text.includes("\r\n") ? "\r" : "";
  const there = statements.find(
    ({ kind, path }) => kind === "key" && isDeepStrictEqual(path, [...edit.table, edit.key]),
  );
  if (there !== undefined) {
    const old = lines.slice(there.start, there.end).join("\n");
    const { key, value, comment } = partsOf(old);
    lines.splice(there.start, there.end - there.start, `${key}${edit.value}${comment}`);
    return { text: lines.join("\n"), undo: { previous: value } };
  }
  if (edit.table.length === 0) {
    const first = statements.findIndex(({ kind }) => kind !== "key");
    const last = statements.slice(0, first < 0 ? undefined : first).at(-1);
    lines.splice(last?.end ?? 0, 0, `${tomlKey(edit.key)} = ${edit.value}${end}`);
    return { text: lines.join("\n"), undo: {} };
  }
  const head = statements.findLast(
    ({ kind, path }) => kind === "table" && isDeepStrictEqual(path, edit.table),
  );
  if (head === undefined)
    return { text: appended(text, editText(edit)), undo: { madeTable: true } };
  const last = lastOfTable(statements, head);
  const indent = /^\s*/.exec(lines[last.start] ?? "")?.[0] ?? "";
  const line = `${indent}${last === head ? "  " : ""}${tomlKey(edit.key)} = ${edit.value}${end}`;
  lines.splice(last.end, 0, line);
  return { text: lines.join("\n"), undo: {} };
}

/** The last of the statements that stand in the table; the head itself when there is none. */
function lastOfTable(statements: readonly TomlStatement[], head: TomlStatement): TomlStatement {
  let last = head;
  for (const statement of statements.slice(statements.indexOf(head) + 1)) {
    if (statement.kind !== "key") break;
    last = statement;
  }
  return last;
}

function appendEntry(text: string, edit: Extract<TomlEdit, { kind: "append" }>): Changed {
  return { text: appended(text, editText(edit)), undo: {} };
}

function appended(text: string, block: string): string {
  const end = text.includes("\r\n") ? "\r\n" : "\n";
  const gap = text === "" ? "" : text.endsWith("\n") ? end : `${end}${end}`;
  return `${text}${gap}${block.replaceAll("\n", end)}${end}`;
}

/** `key = `, the value, and the comment after it with the space between. */
function partsOf(statement: string): {
  readonly key: string;
  readonly value: string;
  readonly comment: string;
} {
  for (let at = statement.indexOf("="); at >= 0; at = statement.indexOf("=", at + 1)) {
    if (!isToml(`${statement.slice(0, at)} = 0`)) continue;
    const space = /^\s*/.exec(statement.slice(at + 1))?.[0] ?? "";
    const key = statement.slice(0, at + 1 + space.length);
    const rest = statement.slice(key.length);
    const length = valueLength(rest);
    return { key, value: rest.slice(0, length), comment: rest.slice(length) };
  }
  throw new Error("a statement that was parsed has no key");
}

function valueLength(rest: string): number {
  // The value ends before the first `#` with which it is whole.
  for (let at = rest.indexOf("#"); at >= 0; at = rest.indexOf("#", at + 1)) {
    if (isToml(`value = ${rest.slice(0, at)}`)) return rest.slice(0, at).trimEnd().length;
  }
  return rest.trimEnd().length;
}

function removeKey(
  text: string,
  edit: Extract<TomlEdit, { kind: "set" }>,
  isOurTable: boolean,
): string {
  const lines = text.split("\n");
  const path = [...edit.table, edit.key];
  const statements = tomlStatements(lines);
  const there = statements.find(
    (statement) => statement.kind === "key" && isDeepStrictEqual(statement.path, path),
  );
  // Written in a form that is not ours: whoever did that takes it out.
  if (there === undefined) return text;
  lines.splice(there.start, there.end - there.start);
  const rest = lines.join("\n");
  return isOurTable ? removeEmptyTable(rest, edit.table) : rest;
}

/** Takes the head of a table out that has nothing in it, with the empty line before it. */
function removeEmptyTable(text: string, table: readonly string[]): string {
  const lines = text.split("\n");
  const statements = tomlStatements(lines);
  const head = statements.findLast(
    ({ kind, path }) => kind === "table" && isDeepStrictEqual(path, table),
  );
  if (head === undefined || lastOfTable(statements, head) !== head) return text;
  const next = statements[statements.indexOf(head) + 1];
  // Comments in it are somebody's.
  const between = lines.slice(head.end, next?.start ?? lines.length);
  if (between.some((line) => line.trim() !== "")) return text;
  return withoutBlock(lines, head.start, head.end);
}

function removeEntry(text: string, edit: Extract<TomlEdit, { kind: "append" }>): string {
  const lines = text.split("\n");
  const statements = tomlStatements(lines);
  const added = entryOf(edit);
  for (const head of statements) {
    if (head.kind !== "entry" || !isDeepStrictEqual(head.path, edit.table)) continue;
    const { end } = lastOfTable(statements, head);
    const body = lines.slice(head.end, end).join("\n");
    if (isToml(body) && isDeepStrictEqual(parse(body), added)) {
      return withoutBlock(lines, head.start, end);
    }
  }
  return text;
}

function withoutBlock(lines: readonly string[], start: number, end: number): string {
  const isApart = start > 0 && (lines[start - 1] ?? "").trim() === "";
  return lines.toSpliced(isApart ? start - 1 : start, end - start + (isApart ? 1 : 0)).join("\n");
}
