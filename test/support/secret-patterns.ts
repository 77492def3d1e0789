/** What the Go snapshotter's own tests look for in every line of a log, in any case. */
export const SECRET_PATTERNS: readonly RegExp[] = [
  /passw(?:or)?d/i,
  /secret/i,
  /credential/i,
  /token/i,
  /api[_-]?key/i,
  /aws[ _-]?(?:access|secret)[ _-]?key/i,
  /oauth/i,
  /bearer/i,
  /basic[ _-]?auth/i,
  /AKIA[0-9A-Z]{16}/i,
  /-----BEGIN [A-Z0-9 ]+-----/i,
];

/** The lines in which one of the patterns is found: none in a log that holds no secret. */
export function secretLines(lines: Iterable<string>): readonly string[] {
  return Array.from(lines).filter((line) => SECRET_PATTERNS.some((pattern) => pattern.test(line)));
}

/** @throws with the first line that has one */
export function assertNoSecretWords(lines: Iterable<string>): void {
  const [first] = secretLines(lines);
  if (first !== undefined) throw new Error(`A log line has a secret's word in it: ${first}`);
}
