import { describe, expect, test } from "bun:test";
import { selectCommand } from "../../src/cli/select-command.ts";
import { SociError } from "../../src/errors.ts";
import { sampleRegistry } from "./sample-registry.ts";

function select(...argv: string[]) {
  return selectCommand(argv, { registry: sampleRegistry, program: "sociable" });
}

function hintOf(...argv: string[]): string | undefined {
  try {
    select(...argv);
  } catch (error) {
    if (error instanceof SociError && error.kind === "invalid-argument") return error.hint;
    throw error;
  }
  throw new Error("not refused");
}

describe("selectCommand()", () => {
  test.each([
    {
      title: "a command",
      argv: ["echo", "a", "--json"],
      path: "sociable echo",
      rest: ["a", "--json"],
    },
    { title: "an alias", argv: ["ls", "a"], path: "sociable list", rest: ["a"] },
    {
      title: "a command of a group",
      argv: ["index", "echo", "a"],
      path: "sociable index echo",
      rest: ["a"],
    },
    {
      title: "an alias in a group",
      argv: ["index", "rm"],
      path: "sociable index remove",
      rest: [],
    },
    {
      title: "a command after global flags",
      argv: ["--root", "/echo", "--log-level=debug", "index", "--log-format", "json", "echo", "a"],
      path: "sociable index echo",
      rest: ["--root", "/echo", "--log-level=debug", "--log-format", "json", "a"],
    },
    {
      title: "help before a command",
      argv: ["help", "index", "echo"],
      path: "sociable index echo",
      rest: ["--help"],
    },
    {
      title: "arguments behind --",
      argv: ["echo", "--", "--odd"],
      path: "sociable echo",
      rest: ["--", "--odd"],
    },
    {
      title: "a flag whose value is a command's name",
      argv: ["echo", "--output", "list"],
      path: "sociable echo",
      rest: ["--output", "list"],
    },
  ])("finds $title", ({ argv, path, rest }) => {
    expect(select(...argv)).toMatchObject({ kind: "command", path, argv: rest });
  });

  test.each([
    { title: "no command", argv: [], path: "sociable" },
    { title: "only global flags", argv: ["--help"], path: "sociable" },
    { title: "a group alone", argv: ["index"], path: "sociable index" },
  ])("finds the group for $title", ({ argv, path }) => {
    expect(select(...argv)).toMatchObject({ kind: "group", path });
  });

  test("loads no command", () => {
    expect(select("broken")).toMatchObject({ kind: "command", path: "sociable broken" });
  });

  test.each([
    { title: "an unknown command", argv: ["ehco"], says: '"sociable echo"' },
    {
      title: "an unknown command of a group",
      argv: ["index", "remov"],
      says: '"sociable index remove"',
    },
    { title: "a command nothing is like", argv: ["xyzzy"], says: "sociable --help" },
    { title: "a property of every object", argv: ["constructor"], says: "sociable --help" },
    { title: "an unknown flag before the command", argv: ["--roto", "/x", "echo"], says: "--root" },
    { title: "a command's own flag before it", argv: ["--json", "echo"], says: "sociable --help" },
  ])("refuses $title", ({ argv, says }) => {
    expect(hintOf(...argv)).toContain(says);
  });

  test("refuses --version after a group's name", () => {
    expect(hintOf("index", "--version")).toContain("sociable index --help");
  });
});
