import { describe, expect, test } from "bun:test";
import { Interrupt, OutputClosed } from "../../src/cli/cli-io.ts";
import { SociError } from "../../src/errors.ts";
import { runInProcess } from "./fake-io.ts";
import { registryOf, sampleRegistry } from "./sample-registry.ts";

const sample = { registry: sampleRegistry };

describe("runCli()", () => {
  test("runs a command and exits 0", async () => {
    const { code, stdout, stderr } = await runInProcess(["echo", "alpine", "--jobs", "2"], sample);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ args: { image: "alpine" }, flags: { jobs: 2 } });
    expect(stderr).toBe("");
  });

  test("--version prints version, commit and Bun's version", async () => {
    const { code, stdout } = await runInProcess(["--version"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^sociable \d+\.\d+\.\d+ \(\S+, Bun \d+\.\d+\.\d+\)\n$/);
  });

  test("version --json prints the same as an object", async () => {
    const { stdout } = await runInProcess(["version", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ bun: Bun.version });
  });

  test.each([
    { title: "--help", argv: ["--help"], says: "COMMANDS" },
    { title: "-h", argv: ["-h"], says: "COMMANDS" },
    { title: "help", argv: ["help"], says: "COMMANDS" },
    { title: "a group's --help", argv: ["index", "--help"], says: "sociable index" },
    { title: "a command's --help", argv: ["echo", "--help"], says: "EXAMPLES" },
    { title: "help and a command", argv: ["help", "echo"], says: "EXAMPLES" },
    { title: "--help among bad flags", argv: ["echo", "--bogus", "-h"], says: "EXAMPLES" },
  ])("$title prints help on standard output and exits 0", async ({ argv, says }) => {
    const { code, stdout, stderr } = await runInProcess(argv, sample);
    expect(code).toBe(0);
    expect(stdout).toContain(says);
    expect(stderr).toBe("");
  });

  test.each([
    { title: "no command", argv: [] },
    { title: "a group alone", argv: ["index"] },
  ])("$title prints help on standard error and exits 2", async ({ argv }) => {
    const { code, stdout, stderr } = await runInProcess(argv, sample);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain("COMMANDS");
  });

  test.each([
    { title: "an unknown command", argv: ["ehco"], says: 'did you mean "sociable echo"?' },
    { title: "an unknown flag", argv: ["echo", "--jbos", "1", "a"], says: "did you mean --jobs?" },
    { title: "a missing value", argv: ["echo", "a", "--output"], says: "--output FILE" },
    { title: "a missing argument", argv: ["echo"], says: "IMAGE is missing" },
    {
      title: "a surplus argument",
      argv: ["version", "x"],
      says: 'surplus argument "x"',
      own: true,
    },
    { title: "a bad global flag", argv: ["--log-level", "loud"], says: "--log-level" },
  ])("$title exits 2 with a message on standard error only", async ({ argv, says, own }) => {
    const { code, stdout, stderr } = await runInProcess(argv, own === true ? {} : sample);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toStartWith("sociable: ");
    expect(stderr).toContain(says);
    expect(stderr).toContain("--help");
  });

  test("shows a SociError with cause and hint and exits by its kind", async () => {
    const registry = registryOf(() =>
      Promise.reject(
        new SociError("not-found", "Cannot find it", { cause: new Error("404"), hint: "look" }),
      ),
    );
    expect(await runInProcess(["go"], { registry })).toEqual({
      code: 1,
      stdout: "",
      stderr: "sociable: Cannot find it\n  404\nhint: look\n",
    });
  });

  test("shows an error as a JSON line where --log-format says so", async () => {
    const registry = registryOf(() =>
      Promise.reject(new SociError("not-found", "Cannot find it", { hint: "look" })),
    );
    const { code, stderr } = await runInProcess(["go", "--log-format", "json"], { registry });
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({
      level: "error",
      msg: "Cannot find it",
      kind: "not-found",
      hint: "look",
    });
  });

  test("shows the stack of a bug with --log-level debug", async () => {
    const registry = registryOf(() => Promise.reject(new TypeError("boom")));
    const { code, stderr } = await runInProcess(["go", "--log-level", "debug"], { registry });
    expect(code).toBe(1);
    expect(stderr).toContain("please report it: boom");
    expect(stderr).toContain("run-cli.test.ts");
  });

  test("reports a command that cannot be loaded", async () => {
    const { code, stderr } = await runInProcess(["broken"], sample);
    expect(code).toBe(1);
    expect(stderr).toContain("must not be loaded");
  });

  test.each([
    { signalName: "SIGINT" as const, code: 130 },
    { signalName: "SIGTERM" as const, code: 143 },
  ])("exits $code when the command ends by $signalName", async ({ signalName, code }) => {
    const controller = new AbortController();
    const registry = registryOf(async ({ signal }) => {
      controller.abort(new Interrupt(signalName));
      signal.throwIfAborted();
    });
    const result = await runInProcess(["go"], { registry, signal: controller.signal });
    expect(result).toEqual({
      code,
      stdout: "",
      stderr: `sociable: Interrupted by ${signalName}\n`,
    });
  });

  test("shows the interrupt and not what followed from it", async () => {
    const controller = new AbortController();
    const registry = registryOf(({ signal }) => {
      controller.abort(new Interrupt("SIGINT"));
      const cause = signal.reason;
      return Promise.reject(new SociError("unavailable", "Cannot open layer", { cause }));
    });
    const result = await runInProcess(["go"], { registry, signal: controller.signal });
    expect(result).toMatchObject({ code: 130, stderr: "sociable: Interrupted by SIGINT\n" });
  });

  test("ends quietly with 0 when nobody reads standard output", async () => {
    const result = await runInProcess(["echo", "a"], {
      ...sample,
      stdoutError: new OutputClosed(),
    });
    expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("ends quietly when a closed standard output comes wrapped", async () => {
    const registry = registryOf(() =>
      Promise.reject(new SociError("unavailable", "Cannot", { cause: new OutputClosed() })),
    );
    expect(await runInProcess(["go"], { registry })).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test.each([
    { title: "absolute as given", argv: ["--root", "/elsewhere", "go"], root: "/elsewhere" },
    {
      title: "relative to the working directory",
      argv: ["go", "--root", "a/b"],
      root: "/srv/a/b",
    },
    { title: "the default of root without the flag", argv: ["go"], root: "/var/lib/sociable" },
  ])("hands down the state directory: $title", async ({ argv, root }) => {
    const registry = registryOf(({ io, root: given }) => io.stdout.write(given));
    expect(await runInProcess(argv, { registry })).toMatchObject({ code: 0, stdout: root });
  });

  test("needs no home directory for a command that needs no state", async () => {
    expect(await runInProcess(["version"], { uid: 1000, env: {} })).toMatchObject({ code: 0 });
  });

  test.each([
    { level: "error", lines: 1 },
    { level: "warn", lines: 2 },
    { level: "info", lines: 3 },
    { level: "debug", lines: 4 },
  ])("--log-level $level lets $lines of four levels through", async ({ level, lines }) => {
    const registry = registryOf(async ({ log }) => {
      for (const say of [log.error, log.warn, log.info, log.debug]) say("said", { n: 1 });
    });
    const { stderr } = await runInProcess(["go", "--log-level", level, "--log-format", "json"], {
      registry,
    });
    expect(
      stderr
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).msg),
    ).toEqual(Array.from({ length: lines }, () => "said"));
  });

  test("styles help on a terminal and not with NO_COLOR", async () => {
    const { stdout } = await runInProcess(["--help"], {
      stdoutIsTty: true,
      env: { NO_COLOR: "1" },
    });
    expect(stdout).not.toContain("\u001b");
  });

  test("takes the progress away before the error is shown", async () => {
    const registry = registryOf(async ({ progress }) => {
      progress.item("layer").add(1);
      await Bun.sleep(150);
      throw new SociError("data-loss", "Cannot go on");
    });
    const { stderr } = await runInProcess(["go"], { registry, stderrIsTty: true });
    expect(stderr).toEndWith("\u001b[1A\u001b[2Ksociable: Cannot go on\n");
  });

  test("takes the progress away before a command says something, and draws it below", async () => {
    const registry = registryOf(async ({ io, progress }) => {
      progress.item("layer");
      await Bun.sleep(150);
      io.stderr.write("By the way\n");
      await Bun.sleep(150);
    });
    const { stderr } = await runInProcess(["go"], { registry, stderrIsTty: true });
    expect(stderr).toMatch(/^layer .*\n\u001b\[1A\u001b\[2KBy the way\nlayer .*\n/);
  });
});
