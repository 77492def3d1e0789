import { describe, expect, test } from "bun:test";
import { addCounts, countTests } from "../../scripts/junit-counts.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="10" assertions="1" failures="3" skipped="2" time="0.009">
  <testsuite name="a.test.ts" file="test/a.test.ts" tests="6" assertions="1" failures="1" skipped="2">
    <testsuite name="d" file="test/a.test.ts" tests="3" failures="1" skipped="0"></testsuite>
  </testsuite>
  <testsuite name="b.test.ts" file="test/b.test.ts" tests="4" failures="2" skipped="0"></testsuite>
</testsuites>`;

describe("countTests()", () => {
  test("takes the totals of the report", () => {
    expect(
      countTests(REPORT, { files: ["test/a.test.ts", "test/b.test.ts"], exitCode: 1 }),
    ).toEqual({ passed: 5, failed: 3, skipped: 2 });
  });

  test("counts a file that could not be loaded as failed", () => {
    expect(
      countTests(REPORT, { files: ["test/a.test.ts", "test/c.test.ts"], exitCode: 1 }),
    ).toEqual({ passed: 5, failed: 4, skipped: 2 });
  });

  test("counts every file as failed when there is no report", () => {
    expect(countTests("", { files: ["test/a.test.ts", "test/c.test.ts"], exitCode: 0 })).toEqual({
      passed: 0,
      failed: 2,
      skipped: 0,
    });
  });

  test("counts a failing exit code without a failed test as one", () => {
    const report = '<testsuites tests="2" failures="0" skipped="0"></testsuites>';
    expect(countTests(report, { files: [], exitCode: 1 })).toEqual({
      passed: 2,
      failed: 1,
      skipped: 0,
    });
  });
});

test("addCounts() adds each count", () => {
  const one = { passed: 1, failed: 2, skipped: 3 };
  expect(addCounts(one, one)).toEqual({ passed: 2, failed: 4, skipped: 6 });
});
