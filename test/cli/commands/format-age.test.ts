import { expect, test } from "bun:test";
import { formatAge } from "../../../src/cli/commands/format-age.ts";

const NOW = Date.UTC(2026, 0, 1);

test.each([
  { title: "no time", then: 0, want: "-" },
  { title: "seconds", then: NOW - 59_000, want: "just now" },
  { title: "one minute", then: NOW - 60_000, want: "1 minute ago" },
  { title: "hours", then: NOW - 7_300_000, want: "2 hours ago" },
  { title: "days", then: NOW - 3 * 86_400_000, want: "3 days ago" },
  { title: "years", then: NOW - 800 * 86_400_000, want: "2 years ago" },
  { title: "a clock put back", then: NOW + 5000, want: "in the future" },
])("formatAge() of $title", ({ then, want }) => {
  expect(formatAge(then, NOW)).toBe(want);
});
