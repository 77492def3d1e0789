import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import type { Command } from "../../../src/cli/command.ts";
import { configCheckCommand } from "../../../src/cli/commands/config-check.ts";
import { configDefaultCommand } from "../../../src/cli/commands/config-default.ts";
import { configDumpCommand } from "../../../src/cli/commands/config-dump.ts";
import type { CommandGroup } from "../../../src/cli/registry-entry.ts";
import { loadConfig } from "../../../src/config/config.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { type CliResult, runInProcess } from "../fake-io.ts";

function entryOf(command: Command) {
  return { summary: command.summary, load: async () => command };
}

const registry: CommandGroup = {
  summary: "Sample",
  commands: {
    config: {
      summary: "Configuration",
      commands: {
        check: entryOf(configCheckCommand),
        default: entryOf(configDefaultCommand),
        dump: entryOf(configDumpCommand),
      },
    },
  },
};

async function run(argv: readonly string[], cwd = "/srv"): Promise<CliResult> {
  return await runInProcess(["config", ...argv], { registry, cwd });
}

describe("config default", () => {
  test("prints a file that the daemon takes without a word", async () => {
    const { code, stdout, stderr } = await run(["default"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(loadConfig(stdout, { file: "f", personality: "sociable" }).warnings).toEqual([]);
  });
});

describe("config dump", () => {
  test("prints what a file comes to, with marks", async () => {
    await using dir = await tempDir();
    writeFileSync(dir.join("c.toml"), "[http]\nMaxRetries = 3\n[fuse]\nattr_timeout = 9\n");
    const { code, stdout } = await run(["dump", "--config", "c.toml"], dir.path);
    expect(code).toBe(0);
    expect(stdout).toContain("\nmax_retries = 3 # honoured: ");
    expect(stdout).toContain("\nattr_timeout = 9 # ignored: ");
  });

  test.each([
    { title: "is not there", make: () => undefined },
    { title: "is a directory", make: () => "." },
  ])("fails when the file $title", async ({ make }) => {
    await using dir = await tempDir();
    const { code, stdout } = await run(["dump", "--config", make() ?? "c.toml"], dir.path);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });

  test("fails with file, line and key", async () => {
    await using dir = await tempDir();
    writeFileSync(dir.join("c.toml"), "root = 1\naddress = 2\n");
    const { code, stdout, stderr } = await run(["dump", "--config", "c.toml"], dir.path);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`"${dir.join("c.toml")}", line 1: root is a number`);
  });
});

describe("config check", () => {
  test("prints nothing and exits 0 when all is well", async () => {
    await using dir = await tempDir();
    writeFileSync(dir.join("c.toml"), 'root = "/r"\n');
    expect(await run(["check", "c.toml"], dir.path)).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("prints warnings and exits 0", async () => {
    await using dir = await tempDir();
    writeFileSync(dir.join("c.toml"), "\nrot = 1\n");
    const { code, stdout } = await run(["check", "c.toml"], dir.path);
    expect(code).toBe(0);
    expect(stdout).toBe(
      `warning: "${dir.join("c.toml")}", line 2: rot is not a key that is known; did you mean root?\n`,
    );
  });

  test("prints all errors and exits 1", async () => {
    await using dir = await tempDir();
    writeFileSync(dir.join("c.toml"), "root = 1\naddress = 2\n");
    const { code, stdout, stderr } = await run(["check", "c.toml"], dir.path);
    expect(code).toBe(1);
    expect(stdout.match(/^error: /gm)?.length).toBe(2);
    expect(stderr).toContain("it has 2 errors");
  });

  test("prints JSON", async () => {
    await using dir = await tempDir();
    writeFileSync(dir.join("c.toml"), "a =\n");
    const { code, stdout } = await run(["check", "--json", "c.toml"], dir.path);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      file: dir.join("c.toml"),
      errors: [{ line: 1, key: "" }],
      warnings: [],
    });
  });

  test("fails when there is no such file", async () => {
    const { code, stderr } = await run(["check", "/nonexistent/c.toml"]);
    expect(code).toBe(1);
    expect(stderr).toContain("/nonexistent/c.toml");
  });

  test("lets nothing in a file drive a terminal", async () => {
    await using dir = await tempDir();
    writeFileSync(dir.join("c.toml"), '"\\u001b[31m" = 1\n');
    const { stdout } = await run(["check", "c.toml"], dir.path);
    expect(stdout).not.toContain("\u001b");
  });
});
