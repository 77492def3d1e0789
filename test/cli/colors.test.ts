import { expect, test } from "bun:test";
import { paintOf } from "../../src/cli/colors.ts";
import { FakeIo } from "./fake-io.ts";

test("paintOf() styles on a terminal", () => {
  const paint = paintOf(new FakeIo({ stdoutIsTty: true }));
  expect(paint("green", "yes")).toBe("\u001b[32myes\u001b[39m");
  expect(paint("green", "")).toBe("");
});

test.each([
  { title: "what is no terminal", stdoutIsTty: false, env: {} },
  { title: "NO_COLOR", stdoutIsTty: true, env: { NO_COLOR: "1" } },
  { title: "a dumb terminal", stdoutIsTty: true, env: { TERM: "dumb" } },
])("paintOf() leaves text as it is for $title", (options) => {
  expect(paintOf(new FakeIo(options))("bold", "text")).toBe("text");
});
