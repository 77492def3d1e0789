/**
 * The candidate that the user most likely meant by `text`, or `undefined` when none is close: one
 * that it abbreviates, else the one with the fewest edits, at most half of the text's length.
 */
export function nearestName(text: string, candidates: Iterable<string>): string | undefined {
  const wanted = text.toLowerCase();
  // Nothing as long as this is a slip of the keyboard, and the comparison is quadratic.
  if (wanted === "" || wanted.length > 64) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(wanted.length / 2)) + 1;
  for (const candidate of candidates) {
    const abbreviates = wanted.length >= 2 && candidate.startsWith(wanted);
    const distance = abbreviates ? 0 : editDistance(wanted, candidate);
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance in which swapping two neighbours counts as one edit. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let distance = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, substitution);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, (beforePrevious[j - 2] ?? 0) + 1);
      }
      row.push(distance);
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}
