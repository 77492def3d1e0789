/** What differs from one image, machine and day to the next, in the order in which it is looked for. */
const VARIABLE: readonly (readonly [pattern: RegExp, placeholder: string])[] = [
  [/sha256:[0-9a-f]{8,64}…?/g, "DIGEST"],
  [/\d+(?:\.\d+)? (?:B|[KMGT]iB)(?![a-z])/g, "SIZE"],
  [/\d+(?:\.\d+)? %/g, "PERCENT"],
  [/\bsize \d+/g, "size COUNT"],
  [/\b\d+ spans?\b/g, "COUNT spans"],
  [/\bprocess \d+/g, "process COUNT"],
  [/^(requests|bytes fetched|bytes of the image): \d+/gm, "$1: COUNT"],
  [/"(size|num_\w+)": \d+/g, '"$1": COUNT'],
];

/** Lines that come as the work behind them gets done. */
const UNORDERED = /^(?:layer|ztoc skipped) /;

/**
 * An example's output with placeholders for what may differ, and for how wide that makes columns. Lines
 * whose order is open are sorted.
 */
export function exampleShape(output: string): string {
  let shape = output.trim();
  for (const [pattern, placeholder] of VARIABLE) shape = shape.replace(pattern, placeholder);
  const lines = shape.split("\n").map((line) => line.replace(/(\S) {2,}/g, "$1  ").trimEnd());
  const sorted: string[] = [];
  for (let start = 0; start < lines.length;) {
    let end = start + 1;
    while (UNORDERED.test(lines[start] ?? "") && UNORDERED.test(lines[end] ?? "")) end++;
    sorted.push(...lines.slice(start, end).toSorted());
    start = end;
  }
  return sorted.join("\n");
}

/** The shapes that an example allows: a line that is `…` stands for any lines. */
export function exampleShapes(example: string): RegExp {
  const lines = exampleShape(example)
    .split("\n")
    .map((line) => (line === "…" ? "(?:.*\n)*" : `${literally(line)}\n`));
  return new RegExp(`^${lines.join("")}$`);
}

/** As RegExp.escape(), whose result nobody can read when it does not match. */
function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
