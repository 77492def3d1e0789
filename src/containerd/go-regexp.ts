const LEADING_FLAGS = /^\(\?([ims]+)\)/;

/** What Go writes otherwise: named groups, the ends of the text, and classes by name. */
const REWRITES: readonly (readonly [RegExp, string])[] = [
  [/\(\?P</g, "(?<"],
  [/\\A/g, "^"],
  [/\\z/g, "$"],
  [/\[:alnum:\]/g, "0-9A-Za-z"],
  [/\[:alpha:\]/g, "A-Za-z"],
  [/\[:digit:\]/g, "0-9"],
  [/\[:lower:\]/g, "a-z"],
  [/\[:upper:\]/g, "A-Z"],
  [/\[:space:\]/g, "\\s"],
  [/\[:word:\]/g, "\\w"],
  [/\[:xdigit:\]/g, "0-9A-Fa-f"],
];

/** Go's regular expression as ours; `undefined` when it is none. */
export function goRegExp(text: string): RegExp | undefined {
  const flags = LEADING_FLAGS.exec(text)?.[1] ?? "";
  let source = text.replace(LEADING_FLAGS, "");
  for (const [from, to] of REWRITES) source = source.replace(from, to);
  // Strict first: what it refuses, as an escaped letter or a lone brace, the other may take as Go does.
  return compile(source, `${flags}u`) ?? compile(source, flags);
}

function compile(source: string, flags: string): RegExp | undefined {
  try {
    return new RegExp(source, [...new Set(flags)].join(""));
  } catch {
    return undefined;
  }
}
