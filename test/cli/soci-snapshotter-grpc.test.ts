import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { Interrupt } from "../../src/cli/cli-io.ts";
import type { ServeFunction, ServeFunctionOptions } from "../../src/cli/serve-function.ts";
import { runSnapshotterGrpc } from "../../src/cli/soci-snapshotter-grpc.ts";
import { defaultConfig, loadConfig } from "../../src/config/config.ts";
import { SociError } from "../../src/errors.ts";
import { secretLines } from "../support/secret-patterns.ts";
import { tempDir } from "../support/temp-dir.ts";
import { FakeIo, type FakeIoOptions } from "./fake-io.ts";

interface Served {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What it was to serve. */
  readonly options: ServeFunctionOptions | undefined;
}

async function run(
  argv: readonly string[],
  { serve, ...ioOptions }: FakeIoOptions & { readonly serve?: ServeFunction } = {},
): Promise<Served> {
  const io = new FakeIo(ioOptions);
  let options: ServeFunctionOptions | undefined;
  const work: ServeFunction = serve ?? (async () => undefined);
  const code = await runSnapshotterGrpc(argv, {
    io,
    services: {},
    serve: async (given) => {
      options = given;
      await work(given);
    },
  });
  return { code, stdout: io.stdoutText, stderr: io.stderrText, options };
}

function recordsOf({ stderr }: Served): readonly Record<string, unknown>[] {
  return stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

describe("runSnapshotterGrpc()", () => {
  test.each([
    { title: "two dashes", argv: ["--root", "/r", "--address", "/a", "--log-level", "debug"] },
    { title: "one dash", argv: ["-root", "/r", "-address", "/a", "-log-level", "debug"] },
    { title: "an equals sign", argv: ["--root=/r", "-address=/a", "--log-level=DEBUG"] },
  ])("takes flags with $title", async ({ argv }) => {
    const { code, options } = await run(argv);
    expect(code).toBe(0);
    expect(options?.config).toMatchObject({ root: "/r", address: "/a", logLevel: "debug" });
    expect(options?.personality).toBe("soci-snapshotter-grpc");
  });

  test("takes the flag before the environment before the file before the default", async () => {
    await using dir = await tempDir();
    writeFileSync(dir.join("c.toml"), 'root = "/file"\naddress = "/file"\nlog_level = "error"\n');
    const { options } = await run(["--root", "/flag"], {
      env: {
        SOCI_SNAPSHOTTER_CONFIG: dir.join("c.toml"),
        SOCI_SNAPSHOTTER_ROOT: "/env",
        SOCI_SNAPSHOTTER_ADDRESS: "/env",
        SOCI_SNAPSHOTTER_LOG_LEVEL: "",
      },
    });
    expect(options?.config).toMatchObject({
      root: "/flag",
      address: "/env",
      logLevel: "error",
      metricsNetwork: "tcp",
    });
  });

  test("says in the log how it starts and ends, in the Go snapshotter's words", async () => {
    const interrupt = new AbortController();
    const served = await run([], {
      signal: interrupt.signal,
      serve: async ({ log, config }) => {
        log.info("soci-snapshotter-grpc successfully started", { address: config.address });
        interrupt.abort(new Interrupt("SIGTERM"));
      },
    });
    expect(served.code).toBe(0);
    const records = recordsOf(served);
    expect(records.map(({ msg }) => msg)).toEqual([
      "starting soci-snapshotter-grpc",
      "soci-snapshotter-grpc successfully started",
      "Got terminated",
      "Exiting",
    ]);
    expect(records[0]).toMatchObject({ level: "info", revision: expect.any(String) });
  });

  test("ends in order when a signal comes before it serves", async () => {
    const interrupt = new AbortController();
    const served = await run([], {
      signal: interrupt.signal,
      serve: async ({ signal }) => {
        interrupt.abort(new Interrupt("SIGINT"));
        throw signal.reason;
      },
    });
    expect(served.code).toBe(0);
    expect(recordsOf(served).map(({ msg }) => msg)).toEqual([
      "starting soci-snapshotter-grpc",
      "Got interrupt",
      "Exiting",
    ]);
  });

  test("warns of keys of the file that have no effect, and goes on", async () => {
    await using dir = await tempDir();
    writeFileSync(dir.join("c.toml"), "[fuse]\nattr_timeout = 5\nunknwon = 1\n");
    const served = await run(["--config", "c.toml"], { cwd: dir.path });
    const warnings = recordsOf(served).filter(({ level }) => level === "warn");
    expect(warnings.map(({ line, key }) => ({ line, key }))).toEqual([
      { line: 3, key: "fuse.unknwon" },
      { line: 2, key: "fuse.attr_timeout" },
    ]);
    expect(secretLines(served.stderr.split("\n"))).toEqual([]);
    expect(served.stderr).not.toContain("successfully");
  });

  test.each([
    {
      title: "a file that is not there",
      text: undefined,
      want: /^failed to open config file ".*c\.toml"$/,
    },
    { title: "a file that is no TOML", text: "a =", want: /^failed to load config file/ },
    { title: "a value that is wrong", text: "root = 3", want: /^failed to load config file/ },
  ])("ends with a fatal line for $title", async ({ text, want }) => {
    await using dir = await tempDir();
    if (text !== undefined) writeFileSync(dir.join("c.toml"), text);
    const served = await run(["--config", dir.join("c.toml")]);
    expect(served.options).toBeUndefined();
    expect(served.code).toBe(1);
    expect(recordsOf(served)).toEqual([
      expect.objectContaining({
        level: "fatal",
        msg: expect.stringMatching(want),
        error: expect.any(String),
      }),
    ]);
  });

  test.each([
    {
      title: "of an address",
      error: new SociError("invalid-argument", "unknown protocol for address tcp://a"),
      want: { msg: "unknown protocol for address tcp://a" },
    },
    {
      title: "of anything else",
      error: new SociError("failed-precondition", "no", { cause: new Error("why") }),
      want: { msg: "failed to serve", error: "no: why" },
    },
  ])("ends with a fatal line for a failure $title", async ({ error, want }) => {
    const served = await run([], { serve: () => Promise.reject(error) });
    expect(served.code).toBe(1);
    expect(recordsOf(served).at(-1)).toMatchObject({ level: "fatal", ...want });
  });

  test("ends with a fatal line for a level that there is not", async () => {
    const served = await run(["--log-level", "loud"]);
    expect(served.code).toBe(1);
    expect(recordsOf(served)).toEqual([
      expect.objectContaining({ level: "fatal", msg: "failed to prepare logger" }),
    ]);
  });

  test("prints the defaults as plain TOML", async () => {
    const { code, stdout } = await run(["config", "default"]);
    expect(code).toBe(0);
    expect(stdout).not.toContain("#");
    expect(loadConfig(stdout, { file: "f", personality: "soci-snapshotter-grpc" })).toEqual({
      config: defaultConfig("soci-snapshotter-grpc"),
      warnings: [],
    });
  });

  test("prints the effective configuration as plain TOML", async () => {
    await using dir = await tempDir();
    writeFileSync(dir.join("c.toml"), "[http]\nMaxRetries = 3\n");
    const argv = ["--config", dir.join("c.toml"), "--root", "/flag", "config", "dump"];
    const { code, stdout } = await run(argv);
    expect(code).toBe(0);
    expect(stdout).not.toContain("#");
    expect(stdout).toContain('root = "/flag"\n');
    expect(stdout).toContain("\nmax_retries = 3\n");
  });

  test.each([
    { argv: ["--help"], want: "--log-level" },
    { argv: ["-h"], want: "SOCI_SNAPSHOTTER_ROOT" },
    { argv: ["help"], want: "USAGE:" },
    { argv: ["config"], want: "config dump" },
    { argv: ["--version"], want: "soci-snapshotter-grpc version " },
    { argv: ["-v"], want: "soci-snapshotter-grpc version " },
  ])("answers $argv", async ({ argv, want }) => {
    const { code, stdout, options } = await run(argv);
    expect({ code, options }).toEqual({ code: 0, options: undefined });
    expect(stdout).toContain(want);
  });

  test.each([
    { argv: ["--rot", "/r"], want: "flag provided but not defined: -rot" },
    { argv: ["--root"], want: "flag needs an argument: -root" },
    { argv: ["serve"], want: "No help topic for 'serve'" },
    { argv: ["config", "show"], want: "No help topic for 'config show'" },
  ])("refuses $argv", async ({ argv, want }) => {
    const { code, stdout, stderr, options } = await run(argv);
    expect({ code, stdout, options }).toEqual({ code: 1, stdout: "", options: undefined });
    expect(stderr).toStartWith(`Incorrect Usage: ${want}\n`);
  });
});
