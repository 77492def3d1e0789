import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const BINARY = join(ROOT, "dist/sociable");

async function run(argv: readonly string[], { cwd = tmpdir(), program = BINARY } = {}) {
  const child = Bun.spawn([program, ...argv], {
    cwd,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), "sociable-binary-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

beforeAll(async () => {
  if (existsSync(BINARY)) return;
  const build = Bun.spawn([process.execPath, join(ROOT, "scripts/build.ts")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  expect(await build.exited).toBe(0);
}, 120_000);

describe("dist/sociable", () => {
  test("--version prints version, the commit it was built from and Bun's version", async () => {
    const { code, stdout, stderr } = await run(["--version"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^sociable \d+\.\d+\.\d+ \((?:[0-9a-f]{12}(?:-dirty)?|unknown), Bun \d+\.\d+\.\d+\)\n$/,
    );
  });

  test("ignores a bunfig.toml with a preload in the working directory", async () => {
    await using directory = await temporaryDirectory();
    const proof = join(directory.path, "proof");
    await writeFile(
      join(directory.path, "preload.ts"),
      `require("node:fs").writeFileSync(${JSON.stringify(proof)}, "ran");`,
    );
    await writeFile(join(directory.path, "bunfig.toml"), 'preload = ["./preload.ts"]\n');
    const { code } = await run(["version"], { cwd: directory.path });
    expect(code).toBe(0);
    expect(existsSync(proof)).toBe(false);
  });

  test("ignores a .env in the working directory", async () => {
    await using directory = await temporaryDirectory();
    await writeFile(join(directory.path, ".env"), "NO_COLOR=1\n");
    // On a terminal, help is styled unless the environment says otherwise.
    const child = Bun.spawn(["script", "-qec", `${BINARY} --help`, "/dev/null"], {
      cwd: directory.path,
      env: { PATH: process.env["PATH"] ?? "", TERM: "xterm" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    });
    expect(await new Response(child.stdout).text()).toContain("\u001b[1m");
  });

  test.each([
    { title: "no command", argv: [], code: 2 },
    { title: "--help", argv: ["--help"], code: 0 },
    { title: "an unknown command", argv: ["bogus"], code: 2 },
    { title: "an unknown flag", argv: ["version", "--bogus"], code: 2 },
    { title: "a surplus argument", argv: ["version", "x"], code: 2 },
  ])("exits $code for $title", async ({ argv, code }) => {
    expect(await run(argv)).toMatchObject({ code });
  });

  test("works through a symbolic link of its own name", async () => {
    await using directory = await temporaryDirectory();
    const link = join(directory.path, "sociable");
    await symlink(BINARY, link);
    expect(await run(["--version"], { program: link })).toMatchObject({ code: 0 });
  });

  test("treats flags of the runtime as its own command line", async () => {
    expect(await run(["--eval", "process.exit(7)"])).toMatchObject({ code: 2, stdout: "" });
  });
});
