import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describeWith } from "../support/describe-with.ts";
import { runProgram } from "../support/sociable-binary.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";

const SCRIPT = join(import.meta.dirname, "../../scripts/install.sh");
const CPU = process.arch === "arm64" ? "arm64" : "x64";
const NAME = `sociable-linux-${CPU}.gz`;

/** What is said to be the program: a script that says its version, as long as a real one needs several reads. */
function programOf(version: string): Buffer {
  const filler = `# ${createHash("sha256").update(version).digest("hex")}\n`.repeat(5000);
  return Buffer.from(`#!/bin/sh\necho "sociable ${version} (test)"\nexit\n${filler}`);
}

/** Releases behind loopback HTTP. */
class Releases implements AsyncDisposable {
  readonly files = new Map<string, Uint8Array>();
  readonly #server: Bun.Server<undefined>;

  constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url }) => {
        const bytes = this.files.get(new URL(url).pathname.slice(1));
        return bytes === undefined ? new Response("no", { status: 404 }) : new Response(bytes);
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  add(version: string): void {
    const packed = gzipSync(programOf(version));
    const digest = createHash("sha256").update(packed).digest("hex");
    this.files.set("latest", Buffer.from(`${version}\n`));
    this.files.set(`v${version}/${NAME}`, packed);
    const other = `${"0".repeat(64)}  sociable-linux-other.gz\n`;
    this.files.set(`v${version}/checksums.txt`, Buffer.from(`${other}${digest}  ${NAME}\n`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

interface RunOptions {
  readonly shell: readonly string[];
  readonly releases?: Releases;
  readonly words?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly script?: string;
}

/** Runs the script as `curl … | sh` does: from standard input. */
async function install(dir: TempDir, options: RunOptions) {
  const { shell, releases, words = [], env = {} } = options;
  const script = options.script ?? (await readFile(SCRIPT, "utf8"));
  const { code, stderr } = await runProgram([...shell, "-s", "--", ...words], {
    input: script,
    env: {
      SOCIABLE_BIN_DIR: dir.join("bin"),
      SOCIABLE_BASE_URL: releases?.url ?? "",
      SOCIABLE_VERSION: "",
      HOME: dir.join("home"),
      TMPDIR: dir.path,
      ...env,
    },
  });
  return { code, stderr };
}

/** Names in the directory that is installed to, and what the program says. */
async function installed(dir: TempDir): Promise<{ names: readonly string[]; says: string }> {
  const names: readonly string[] = await readdir(dir.join("bin")).catch(() => []);
  if (!names.includes("sociable")) return { names, says: "" };
  const { stdout } = await runProgram([dir.join("bin/sociable"), "--version"]);
  return { names, says: Buffer.from(stdout).toString() };
}

/** A directory of programs that stand before the system's. */
async function programs(dir: TempDir, scripts: Readonly<Record<string, string>>): Promise<string> {
  const path = dir.join("programs");
  await mkdir(path);
  for (const [name, body] of Object.entries(scripts)) {
    await writeFile(join(path, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  }
  return `${path}:${process.env["PATH"] ?? ""}`;
}

const SHELLS = [
  { title: "sh", shell: ["sh"] },
  { title: "dash", shell: ["dash"] },
  { title: "bash", shell: ["bash", "--posix"] },
  { title: "busybox", shell: ["busybox", "sh"] },
].filter(({ shell: [program = ""] }) => Bun.which(program) !== null);

describe.each(SHELLS)("install.sh, run by $title", ({ shell }) => {
  test("installs the latest version", async () => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.2.3");
    const { code, stderr } = await install(dir, { shell, releases });
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(await installed(dir)).toEqual({ names: ["sociable"], says: "sociable 1.2.3 (test)\n" });
    expect(await readdir(dir.path)).toEqual(["bin"]);
  });

  test("refuses a program that was changed, and keeps the old one", async () => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    await install(dir, { shell, releases });
    releases.add("1.1.0");
    releases.files.set(`v1.1.0/${NAME}`, gzipSync(programOf("6.6.6")));
    const { code, stderr } = await install(dir, { shell, releases });
    expect(code).toBe(1);
    expect(stderr).toContain("is not what was released");
    expect(await installed(dir)).toEqual({ names: ["sociable"], says: "sociable 1.0.0 (test)\n" });
  });

  test("refuses a program that was cut off", async () => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    const packed = releases.files.get(`v1.0.0/${NAME}`) ?? new Uint8Array();
    releases.files.set(`v1.0.0/${NAME}`, packed.subarray(0, packed.length / 2));
    expect(await install(dir, { shell, releases })).toMatchObject({ code: 1 });
    expect(await installed(dir)).toEqual({ names: [], says: "" });
  });
});

describe("install.sh", () => {
  const shell = ["sh"];

  test.each([
    { title: "--version", words: ["--version", "1.0.0"], env: {} },
    { title: "--version with a v", words: ["--version", "v1.0.0"], env: {} },
    { title: "SOCIABLE_VERSION", words: [], env: { SOCIABLE_VERSION: "1.0.0" } },
  ])("pins a version by $title", async ({ words, env }) => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    releases.add("2.0.0");
    await install(dir, { shell, releases, words, env });
    expect(await installed(dir)).toMatchObject({ says: "sociable 1.0.0 (test)\n" });
  });

  test("takes files for a base URL, and a directory with a space", async () => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    await mkdir(dir.join("releases/v1.0.0"), { recursive: true });
    for (const [path, bytes] of releases.files) await writeFile(dir.join("releases", path), bytes);
    const words = ["--base-url", `file://${dir.join("releases")}/`, "--bin-dir", dir.join("a b")];
    const { code } = await install(dir, { shell, words });
    expect({ code, names: await readdir(dir.join("a b")) }).toEqual({
      code: 0,
      names: ["sociable"],
    });
  });

  test("does nothing when it is cut off itself", async () => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    const script = await readFile(SCRIPT, "utf8");
    for (const part of [0.2, 0.5, 0.8, 0.95, 0.99]) {
      await install(dir, { shell, releases, script: script.slice(0, script.length * part) });
    }
    expect(await readdir(dir.path)).toEqual([]);
  });

  test.each([
    {
      title: "no release of that version",
      words: ["--version", "9.9.9"],
      says: "Is there a version 9.9.9?",
    },
    { title: "a version that is none", words: ["--version", "../etc"], says: "is no version" },
    { title: "an option that is none", words: ["--now"], says: "there is no option --now" },
    { title: "an option without its value", words: ["--version"], says: "--version needs a value" },
    { title: "a base URL that is none", words: ["--base-url", "ftp://x"], says: "is no address" },
    { title: "no server", words: ["--base-url", "http://127.0.0.1:9"], says: "cannot download" },
  ])("refuses $title, and says so", async ({ words, says }) => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    const { code, stderr } = await install(dir, { shell, releases, words });
    expect(code).toBe(1);
    expect(stderr).toContain(says);
    expect(await readdir(dir.path)).toEqual([]);
  });

  test.each([
    { title: "another system", scripts: { uname: "echo Darwin" }, says: "want Linux" },
    {
      title: "another processor",
      scripts: { uname: '[ "$1" = -s ] && echo Linux || echo riscv64' },
      says: "no sociable for riscv64",
    },
    {
      title: "a processor that is too old",
      scripts: { uname: '[ "$1" = -s ] && echo Linux || echo x86_64', grep: '[ "$2" = "^flags" ]' },
      says: "no AVX2",
    },
  ])("refuses $title", async ({ scripts, says }) => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    const env = { PATH: await programs(dir, scripts) };
    const { code, stderr } = await install(dir, { shell, releases, env });
    expect({ code, stderr: stderr.includes(says) }).toEqual({ code: 1, stderr: true });
    expect(await readdir(dir.path)).toEqual(["programs"]);
  });

  test("asks for musl's program where ldd is musl's", async () => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    const env = { PATH: await programs(dir, { ldd: "echo 'musl libc (x86_64)' >&2; exit 1" }) };
    const { stderr } = await install(dir, { shell, releases, env });
    expect(stderr).toMatch(/no sociable-linux-\w+-musl\.gz|libstdc\+\+ is missing/);
  });

  test("refuses a release that does not list the program", async () => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    releases.files.set("v1.0.0/checksums.txt", Buffer.from(`short  ${NAME}\n`));
    const { code, stderr } = await install(dir, { shell, releases });
    expect({ code, says: stderr.includes(`has no ${NAME}`) }).toEqual({ code: 1, says: true });
  });

  test("refuses a program that does not run", async () => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    const packed = gzipSync("#!/bin/sh\nexit 127\n");
    releases.files.set(`v1.0.0/${NAME}`, packed);
    const digest = createHash("sha256").update(packed).digest("hex");
    releases.files.set("v1.0.0/checksums.txt", Buffer.from(`${digest} *${NAME}\n`));
    const { code, stderr } = await install(dir, { shell, releases });
    expect({ code, says: stderr.includes("does not run here") }).toEqual({ code: 1, says: true });
    expect(await installed(dir)).toEqual({ names: [], says: "" });
  });

  test("refuses a directory that cannot be made", async () => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    await writeFile(dir.join("bin"), "");
    const { code, stderr } = await install(dir, { shell, releases });
    expect({ code, says: stderr.includes("cannot make the directory") }).toEqual({
      code: 1,
      says: true,
    });
  });

  test("says what is missing where there is nothing to download with", async () => {
    await using dir = await tempDir();
    await mkdir(dir.join("few"));
    for (const name of ["sh", "uname", "ldd", "gzip", "mktemp", "rm", "head", "grep"]) {
      const path = Bun.which(name);
      if (path !== null) await symlink(path, dir.join("few", name));
    }
    const words = ["--base-url", "http://127.0.0.1:9"];
    const env = { PATH: dir.join("few") };
    const { code, stderr } = await install(dir, { shell: [dir.join("few/sh")], words, env });
    expect({ code, says: stderr.includes("neither curl nor wget") }).toEqual({
      code: 1,
      says: true,
    });
  });

  test("uninstalls what it has installed", async () => {
    await using dir = await tempDir();
    await using releases = new Releases();
    releases.add("1.0.0");
    await install(dir, { shell, releases });
    const words = ["--uninstall"];
    expect(await install(dir, { shell, words })).toMatchObject({ code: 0 });
    expect(await installed(dir)).toEqual({ names: [], says: "" });
    expect(await install(dir, { shell, words })).toMatchObject({ code: 1 });
  });

  test("does not uninstall another program of that name", async () => {
    await using dir = await tempDir();
    await mkdir(dir.join("bin"));
    await writeFile(dir.join("bin/sociable"), "#!/bin/sh\necho other\n");
    await chmod(dir.join("bin/sociable"), 0o755);
    expect(await install(dir, { shell, words: ["--uninstall"] })).toMatchObject({ code: 1 });
    expect(await installed(dir)).toMatchObject({ names: ["sociable"] });
  });
});

describeWith(["shellcheck"], "shellcheck", () => {
  test("finds nothing in install.sh", async () => {
    const { code, stdout } = await runProgram(["shellcheck", "--shell=sh", SCRIPT]);
    expect({ code, stdout: Buffer.from(stdout).toString() }).toEqual({ code: 0, stdout: "" });
  });
});
