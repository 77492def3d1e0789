import { describe, test } from "bun:test";

/**
 * describe() for tests that use other people's programs. Where one is missing they are skipped and
 * their title says why; in continuous integration, where that would go unseen, it is a failure.
 */
export function describeWith(programs: readonly string[], title: string, body: () => void): void {
  const missing = programs.filter((program) => Bun.which(program) === null);
  if (missing.length === 0) {
    describe(title, body);
    return;
  }
  const reason = `${missing.join(", ")} not installed`;
  if (process.env["CI"] === "true") {
    test(title, () => {
      throw new Error(reason);
    });
    return;
  }
  describe.skip(`${title} (skipped: ${reason})`, body);
}
