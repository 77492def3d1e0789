export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface CountTestsOptions {
  /** Test files that must be in the report, as paths from the project's root. */
  readonly files: readonly string[];
  /** Of `bun test`. */
  readonly exitCode: number;
}

/**
 * Counts the tests in bun's JUnit report. A file that is not in it could not even be loaded (bun
 * leaves it out) and counts as one failed test; so does a failing exit code without a failed test.
 */
export function countTests(xml: string, { files, exitCode }: CountTestsOptions): TestCounts {
  const root = /<testsuites\b[^>]*>/.exec(xml)?.[0] ?? "";
  const tests = attribute(root, "tests");
  const failures = attribute(root, "failures");
  const skipped = attribute(root, "skipped");
  const reported = new Set(
    Array.from(xml.matchAll(/<testsuite\b[^>]*\bfile="([^"]*)"/g), ([, file]) => file),
  );
  const unloaded = files.filter((file) => !reported.has(file)).length;
  const failed = failures + unloaded;
  return {
    passed: tests - failures - skipped,
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped,
  };
}

export function addCounts(a: TestCounts, b: TestCounts): TestCounts {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  };
}

function attribute(tag: string, name: string): number {
  return Number(new RegExp(`\\b${name}="(\\d+)"`).exec(tag)?.[1] ?? 0);
}
