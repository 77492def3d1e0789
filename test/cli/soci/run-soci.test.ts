import { describe, expect, test } from "bun:test";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { tempDir } from "../../support/temp-dir.ts";
import { runSociInProcess } from "./soci-process.ts";

const ZERO = `sha256:${"0".repeat(64)}`;
const INDEX_HEADER =
  "DIGEST    SIZE    IMAGE REF    PLATFORM    MEDIA TYPE    MANIFEST VERSION    CREATED    \n";

/** With nobody at containerd's socket. */
async function run(argv: readonly string[], env: Record<string, string> = {}) {
  await using directory = await tempDir();
  const globals = ["--address", directory.join("nobody.sock"), "--root", directory.join("root")];
  return await runSociInProcess([...globals, ...argv], { cwd: directory.path, env });
}

describe("runSoci() without containerd", () => {
  test.each([
    { argv: [], title: "no command" },
    { argv: ["--help"], title: "--help" },
    { argv: ["help"], title: "help" },
    { argv: ["index"], title: "a group" },
    { argv: ["index", "--help"], title: "--help of a group" },
    { argv: ["create", "-h"], title: "-h of a command" },
    { argv: ["help", "index", "rm"], title: "help of a command" },
  ])("prints help for $title", async ({ argv }) => {
    const { code, stdout, stderr } = await run(argv);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("USAGE:\n   soci");
  });

  test("prints its version", async () => {
    const { code, stdout } = await run(["--version"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^soci version \S+ \S+\n$/);
  });

  test.each([
    { argv: ["nosuch"], word: "nosuch" },
    { argv: ["index", "nosuch"], word: "nosuch" },
    { argv: ["help", "nosuch"], word: "nosuch" },
  ])("exits with 3 for $argv", async ({ argv, word }) => {
    expect(await run(argv)).toEqual({
      code: 3,
      stdout: "",
      stderr: `No help topic for '${word}'\n`,
    });
  });

  test.each([
    { argv: ["--nope"], text: "flag provided but not defined: -nope" },
    { argv: ["create", "--nope", "x"], text: "flag provided but not defined: -nope" },
    { argv: ["create", "--span-size"], text: "flag needs an argument: --span-size" },
    {
      argv: ["convert", "--format", "zip", "a", "b"],
      text: 'invalid value "zip" for flag -format: unsupported output format "zip": must be "oci-archive" or "oci-dir"',
    },
  ])("says what is wrong with $argv, with the help", async ({ argv, text }) => {
    const { code, stdout, stderr } = await run(argv);
    expect(code).toBe(1);
    expect(stderr).toBe(`Incorrect Usage: ${text}\n\nsoci: ${text}\n`);
    expect(stdout).toContain("USAGE:");
  });

  test.each([
    { argv: ["create"], text: "source image needs to be specified" },
    { argv: ["convert"], text: "source image needs to be specified" },
    { argv: ["convert", "x"], text: "destination needs to be specified" },
    { argv: ["push"], text: "please provide an image reference to push" },
    {
      argv: ["create", "--optimizations", "foo", "x"],
      text: "optimization foo is not a valid optimization [xattr]",
    },
    {
      argv: ["convert", "x", "127.0.0.1:5050/x"],
      text: 'the destination image must be a tagged ref of the form "registry/repository:tag": reference must be tagged',
    },
    {
      argv: ["convert", "x", `127.0.0.1:5050/x:t@${ZERO}`],
      text: 'the destination image must be a tagged ref of the form "registry/repository:tag": reference must not contain a digest',
    },
    {
      argv: ["convert", "--standalone", "nothere", "x"],
      text: "failed to access input nothere: stat nothere: no such file or directory",
    },
    { argv: ["index", "info"], text: "invalid checksum digest format" },
    { argv: ["index", "info", "sha256:12"], text: "invalid checksum digest length" },
    { argv: ["index", "info", ZERO], text: "soci_artifacts not found" },
    { argv: ["ztoc", "info", ZERO], text: "soci_artifacts not found" },
    { argv: ["prefetch", "info", ZERO], text: "soci_artifacts not found" },
    { argv: ["index", "rm", "zzz"], text: "soci_artifacts not found" },
    {
      argv: ["index", "rm", "--ref", "x", ZERO],
      text: "please provide either index digests or image ref, but not both",
    },
    {
      argv: ["ztoc", "get-file", ZERO],
      text: "please provide both a ztoc digest and a filename to extract",
    },
    {
      argv: ["index", "list", "-p", "bad/x/y/z/w"],
      text: '"z/w" is an invalid component of "bad/x/y/z/w": platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument',
    },
    {
      argv: ["--content-store", "bogus", "index", "rm"],
      text: "cannot create local content store: unknown content store type: bogus; must be one of [soci containerd]",
    },
    {
      argv: ["--timeout", "100ms", "create", "x"],
      text: "context deadline exceeded while waiting for connections to become ready: context deadline exceeded",
    },
    {
      argv: ["--timeout", "100ms", "rebuild-db"],
      text: "failed to add new artifacts to db: context deadline exceeded while waiting for connections to become ready: context deadline exceeded",
    },
  ])("fails as the Go tool does: $argv", async ({ argv, text }) => {
    expect(await run(argv)).toEqual({ code: 1, stdout: "", stderr: `soci: ${text}\n` });
  });

  test.each([
    { argv: ["index", "list"], stdout: INDEX_HEADER },
    { argv: ["index", "ls", "-q"], stdout: "" },
    { argv: ["ztoc", "list"], stdout: "DIGEST    SIZE    LAYER DIGEST    \n" },
    { argv: ["prefetch", "ls"], stdout: "DIGEST    LAYER DIGEST    SPANS    CREATED    \n" },
    { argv: ["prefetch", "list", "--json"], stdout: "null\n" },
    { argv: ["index", "remove"], stdout: "" },
  ])("lists nothing without asking containerd: $argv", async ({ argv, stdout }) => {
    const done = { code: 0, stdout, stderr: "" };
    expect(await run(argv)).toEqual(done);
    expect(await run(["--content-store", "soci", ...argv])).toEqual(done);
  });

  test("takes containerd's address and namespace from the environment", async () => {
    await using directory = await tempDir();
    const env = { CONTAINERD_ADDRESS: "relative.sock" };
    const argv = ["--root", directory.join("root"), "create", "x"];
    const { code, stderr } = await runSociInProcess(argv, { cwd: directory.path, env });
    expect(code).toBe(1);
    expect(stderr).toContain("relative.sock");
  });

  test("makes the root directory, for its owner alone, but not its parent", async () => {
    await using directory = await tempDir();
    const list = async (root: string) =>
      await runSociInProcess(["--root", root, "ztoc", "list"], { cwd: directory.path });
    expect((await list(directory.join("root"))).code).toBe(0);
    expect((await stat(directory.join("root"))).mode & 0o777).toBe(0o700);
    const missing = directory.join("no", "root");
    expect((await list(missing)).stderr).toBe(
      `soci: mkdir ${missing}: no such file or directory\n`,
    );
    await writeFile(directory.join("file"), "");
    const below = directory.join("file", "root");
    expect((await list(below)).stderr).toBe(`soci: stat ${below}: not a directory\n`);
    expect((await list(directory.join("file"))).code).toBe(1);
  });

  test("refuses a namespace that would be another place on disk", async () => {
    const { code, stderr } = await run(["--namespace", "../x", "ztoc", "list"]);
    expect(code).toBe(1);
    expect(stderr).toContain('identifier "../x" must match');
  });

  test("says what is wrong with a list of files to fetch ahead", async () => {
    await using directory = await tempDir();
    await mkdir(directory.join("in"));
    const convert = async (json: string | undefined) => {
      const file = directory.join("files.json");
      if (json !== undefined) await writeFile(file, json);
      const flags = ["--prefetch-files-json", json === undefined ? directory.join("no") : file];
      const argv = ["convert", "--standalone", "--format", "oci-dir", ...flags, "in", "out"];
      return (await runSociInProcess(argv, { cwd: directory.path })).stderr;
    };
    const failed =
      "soci: failed to parse prefetch files: failed to load prefetch files from JSON: ";
    expect(await convert(undefined)).toBe(
      `${failed}failed to read JSON file: open ${directory.join("no")}: no such file or directory\n`,
    );
    expect(await convert('{"a":1}')).toBe(
      `${failed}failed to parse JSON: json: cannot unmarshal object into Go value of type []string\n`,
    );
    expect(await convert("[1]")).toBe(
      `${failed}failed to parse JSON: json: cannot unmarshal number into Go value of type string\n`,
    );
    expect(await convert('["a')).toBe(
      `${failed}failed to parse JSON: unexpected end of JSON input\n`,
    );
  });
});
