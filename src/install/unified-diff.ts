export interface UnifiedDiffOptions {
  readonly from: string;
  readonly to: string;
}

const CONTEXT = 3;
/** Tables of the longest common subsequence have at most so many cells. */
const MAX_CELLS = 25_000_000;

type Line = { readonly sign: " " | "-" | "+"; readonly text: string };

/** The difference of two texts as diff(1) shows it with -u; empty when there is none. */
export function unifiedDiff(
  before: string,
  after: string,
  { from, to }: UnifiedDiffOptions,
): string {
  if (before === after) return "";
  const lines = compare(linesOf(before), linesOf(after));
  return `--- ${from}\n+++ ${to}\n${hunks(lines).join("")}`;
}

function linesOf(text: string): readonly string[] {
  if (text === "") return [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") return lines.slice(0, -1);
  // diff(1) tells so where the last line has no end.
  return [...lines.slice(0, -1), `${lines.at(-1) ?? ""}\n\\ No newline at end of file`];
}

function compare(before: readonly string[], after: readonly string[]): readonly Line[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  while (
    tail < Math.min(before.length, after.length) - head &&
    before.at(-1 - tail) === after.at(-1 - tail)
  ) {
    tail += 1;
  }
  const same = (lines: readonly string[]): Line[] => lines.map((text) => ({ sign: " ", text }));
  return [
    ...same(before.slice(0, head)),
    ...compareMiddle(
      before.slice(head, before.length - tail),
      after.slice(head, after.length - tail),
    ),
    ...same(before.slice(before.length - tail)),
  ];
}

function compareMiddle(before: readonly string[], after: readonly string[]): Line[] {
  const width = after.length + 1;
  const isLarge = (before.length + 1) * width > MAX_CELLS;
  const lengths = isLarge ? undefined : commonLengths(before, after);
  const lines: Line[] = [];
  let [left, right] = [0, 0];
  while (left < before.length || right < after.length) {
    const [old, fresh] = [before[left], after[right]];
    const down = lengths?.[(left + 1) * width + right] ?? 0;
    const along = lengths?.[left * width + right + 1] ?? 0;
    if (old !== undefined && old === fresh && lengths !== undefined) {
      lines.push({ sign: " ", text: old });
      left += 1;
      right += 1;
    } else if (old !== undefined && (fresh === undefined || down >= along)) {
      lines.push({ sign: "-", text: old });
      left += 1;
    } else {
      lines.push({ sign: "+", text: fresh ?? "" });
      right += 1;
    }
  }
  return lines;
}

/** For each pair of places, how many lines the rests have in common, in order. */
function commonLengths(before: readonly string[], after: readonly string[]): Uint32Array {
  const width = after.length + 1;
  const lengths = new Uint32Array((before.length + 1) * width);
  for (let left = before.length - 1; left >= 0; left -= 1) {
    for (let right = after.length - 1; right >= 0; right -= 1) {
      const at = left * width + right;
      lengths[at] =
        before[left] === after[right]
          ? (lengths[at + width + 1] ?? 0) + 1
          : Math.max(lengths[at + width] ?? 0, lengths[at + 1] ?? 0);
    }
  }
  return lengths;
}

function hunks(lines: readonly Line[]): readonly string[] {
  const found: string[] = [];
  let [oldAt, newAt, next] = [0, 0, 0];
  while (next < lines.length) {
    if (lines[next]?.sign === " ") {
      oldAt += 1;
      newAt += 1;
      next += 1;
      continue;
    }
    const lead = Math.min(CONTEXT, next);
    const start = next - lead;
    const end = hunkEnd(lines, next);
    const part = lines.slice(start, end);
    const oldCount = part.filter(({ sign }) => sign !== "+").length;
    const newCount = part.filter(({ sign }) => sign !== "-").length;
    found.push(
      `@@ -${span(oldAt - lead, oldCount)} +${span(newAt - lead, newCount)} @@\n`,
      ...part.map(({ sign, text }) => `${sign}${text}\n`),
    );
    oldAt += oldCount - lead;
    newAt += newCount - lead;
    next = end;
  }
  return found;
}

/** Three lines after the last change that has no more than six unchanged lines before the next one. */
function hunkEnd(lines: readonly Line[], first: number): number {
  let lastChange = first;
  for (let at = first; at < lines.length && at - lastChange <= 2 * CONTEXT; at += 1) {
    if (lines[at]?.sign !== " ") lastChange = at;
  }
  return Math.min(lines.length, lastChange + 1 + CONTEXT);
}

function span(start: number, count: number): string {
  const first = count === 0 ? start : start + 1;
  return count === 1 ? String(first) : `${first},${count}`;
}
