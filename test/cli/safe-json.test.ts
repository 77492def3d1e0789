import { expect, test } from "bun:test";
import { safeJson } from "../../src/cli/safe-json.ts";

test("safeJson() escapes what drives a terminal, and stays the same document", () => {
  const value = { name: "a\u009b2J\u007f\u202e\u2066b\u001b", text: "ü 日本\n" };
  const json = JSON.stringify(value, null, 2);
  const safe = safeJson(json);
  expect(safe).toContain("a\\u009b2J\\u007f\\u202e\\u2066b\\u001b");
  expect(safe).toContain("ü 日本");
  expect(JSON.parse(safe)).toEqual(value);
});
