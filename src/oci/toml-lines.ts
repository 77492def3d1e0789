const HEADER = /^\s*\[\[?(.*?)\]\]?\s*(?:#.*)?$/;
const PART = /\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([\w-]+))\s*(?:\.|$|(?==))/y;

/**
 * The line, from 1, on which a TOML text sets a key; that of its table's header where the key cannot
 * be found, else 1. For messages: it looks at lines, not at the grammar.
 */
export function tomlLine(text: string, keys: readonly string[]): number {
  let table: readonly string[] = [];
  let nearest = { line: 1, shared: 0 };
  for (const [index, line] of text.split("\n").entries()) {
    const header = HEADER.exec(line)?.[1];
    const here = header === undefined ? [...table, ...keysOf(line)] : keysOf(header);
    table = header === undefined ? table : here;
    const shared = here.findIndex((key, at) => key !== keys[at]);
    if (shared < 0 && here.length > nearest.shared) {
      nearest = { line: index + 1, shared: here.length };
    }
  }
  return nearest.line;
}

/** The dotted key at the start of a line, as in `a."b.c" = 1`. */
function keysOf(text: string): readonly string[] {
  const keys: string[] = [];
  PART.lastIndex = 0;
  for (let match = PART.exec(text); match !== null; match = PART.exec(text)) {
    keys.push(match[1]?.replace(/\\(.)/g, "$1") ?? match[2] ?? match[3] ?? "");
    if (!match[0].endsWith(".")) {
      break;
    }
  }
  return keys;
}
