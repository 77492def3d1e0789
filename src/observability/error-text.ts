const MAX_LINKS = 16;
const MAX_CHARS = 4096;

/** An error and its causes in one line, nearest first; what only repeats is left out. Never throws. */
export function errorText(error: unknown): string {
  const said: string[] = [];
  const pending: unknown[] = [error];
  const seen = new Set<unknown>();
  while (pending.length > 0 && seen.size < MAX_LINKS) {
    const link = pending.shift();
    if (link === undefined || seen.has(link)) continue;
    seen.add(link);
    const message = messageOf(link);
    if (message !== "" && !said.some((text) => text.includes(message))) said.push(message);
    if (link instanceof AggregateError && Array.isArray(link.errors)) pending.push(...link.errors);
    if (link instanceof SuppressedError) pending.push(link.suppressed, link.error);
    if (link instanceof Error) pending.push(link.cause);
  }
  return said.join(": ").slice(0, MAX_CHARS);
}

function messageOf(error: unknown): string {
  try {
    if (!(error instanceof Error)) return String(error);
    return error.message === "" ? error.name : error.message;
  } catch {
    return "unprintable error";
  }
}
