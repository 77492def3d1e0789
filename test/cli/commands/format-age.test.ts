import { expect, test } from "bun:test";
import { formatAge } from "../../../src/cli/commands/format-age.ts";

const NOW = Date.UTC(2026, 0, 1);

test.each([
  { title: "no time", at: 0, want: "-" },
  { title: "seconds", at: NOW - 59_000, want: "just now" },
  { title: "one minute", at: NOW - 60_000, want: "1 minute ago" },
  { title: "hours", at: NOW - 7_300_000, want: "2 hours ago" },
  { title: "days", at: NOW - 3 * 86_400_000, want: "3 days ago" },
  { title: "years", at: NOW - 800 * 86_400_000, want: "2 years ago" },
  { title: "a clock put back", at: NOW + 5000, want: "in the future" },
])("formatAge() of $title", ({ at, want }) => {
  expect(formatAge(at, NOW)).toBe(want);
});
