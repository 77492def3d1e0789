import { beforeAll, describe, expect, test } from "bun:test";
import { mkdir, readdir, readFile, readlink, symlink } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { SHARED_MEMORY } from "../../src/cache/live-directory.ts";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { describeWith } from "../support/describe-with.ts";
import {
  type BuiltImage,
  buildImage,
  buildLayer,
  imageOf,
  writeLayout,
} from "../support/image-builder.ts";
import { mountTemp } from "../support/mount-temp.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { BLOCKS } from "../support/readme.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { buildSociable } from "../support/sociable-binary.ts";
import type { TempDir } from "../support/temp-dir.ts";

beforeAll(buildSociable, 120_000);

/** For two containerds, one after the other, on a machine that has other work. */
const PATIENCE_MS = 180_000;
const DEMO = join(import.meta.dirname, "../../scripts/demo.ts");

interface StartOptions {
  /** Runs before the demo. */
  readonly prefix?: readonly string[];
}

/** A demo under way. Disposing kills it; what it leaves then is its temp dir's to take away. */
class Demo implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #tmp: string;
  readonly #ended: Promise<readonly [code: number, stderr: string]>;
  #stdout = "";
  #onText: () => void = () => undefined;

  private constructor(argv: readonly string[], tmp: string) {
    this.#tmp = tmp;
    this.#child = Bun.spawn([...argv], {
      env: { ...process.env, TMPDIR: tmp },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const stderr = new Response(this.#child.stderr).text();
    this.#ended = this.#read().then(async () => [await this.#child.exited, await stderr]);
  }

  static async start(
    temp: TempDir,
    args: readonly string[],
    { prefix = [] }: StartOptions = {},
  ): Promise<Demo> {
    const tmp = temp.join("tmp");
    await mkdir(tmp);
    return new Demo([...prefix, process.execPath, DEMO, ...args], tmp);
  }

  /** Resolves to what it printed, when that has matched. @throws when it ends before */
  async saying(pattern: RegExp): Promise<RegExpExecArray> {
    const said = new Promise<RegExpExecArray>((resolve) => {
      this.#onText = () => {
        const match = pattern.exec(this.#stdout);
        if (match !== null) resolve(match);
      };
      this.#onText();
    });
    const ended = this.#ended.then(([code, stderr]) => {
      throw new Error(`the demo ended with ${code}: ${stderr}`);
    });
    return await Promise.race([said, ended]);
  }

  kill(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** How it has ended. */
  async ended() {
    const [code, stderr] = await this.#ended;
    return { code, stderr, stdout: this.#stdout };
  }

  /** All that it should have taken away: files, mounts, processes, shared memory. */
  async left(): Promise<string[]> {
    const isOurs = (text: string): boolean => text.includes(`${this.#tmp}/`);
    const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
    // Any of them may end meanwhile.
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const processes = await Promise.all(
      pids.map((pid) => readFile(join("/proc", pid, "cmdline"), "utf8").catch(() => "")),
    );
    const live = await Array.fromAsync(
      new Bun.Glob("sociable-*/*/root").scan({ cwd: SHARED_MEMORY, onlyFiles: false }),
      (path) => readlink(join(SHARED_MEMORY, path)).catch(() => ""),
    );
    const files = await readdir(this.#tmp);
    return [...files, ...[...mounts, ...processes, ...live].filter(isOurs)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      this.#stdout += decoder.decode(chunk, { stream: true });
      this.#onText();
    }
  }
}

const LAYERS = [1, 2, 3].map((layer) => ({
  entries: [20_000, 1_000_000].map((size) => ({
    name: `layer-${layer}/file-${size}`,
    content: sampleBytes(size, layer),
  })),
}));

/** Names a small image of three layers, two files in each. */
async function smallImage(temp: TempDir): Promise<string> {
  return await named(temp, await buildImage({ layers: LAYERS }));
}

/** The same below programs that a container can run. */
async function runnableImage(temp: TempDir): Promise<string> {
  const layers = await Promise.all(LAYERS.map((layer) => buildLayer(layer)));
  return await named(temp, imageOf([await runnableLayer(["sha256sum"]), ...layers]));
}

async function named(temp: TempDir, image: BuiltImage): Promise<string> {
  await writeLayout(temp.join("layout"), { image, tag: "v1" });
  return `oci:${temp.join("layout")}:v1`;
}

describe("npm run demo", () => {
  test("copies an image that is named, reads three files of it and leaves nothing", async () => {
    await using temp = await mountTemp();
    await using demo = await Demo.start(temp, [await smallImage(temp)]);
    const { code, stdout } = await demo.ended();
    expect(code).toBe(0);
    expect(stdout.match(/cat --stats .*\n.*byte for byte the original/g)).toHaveLength(3);
    expect(stdout).toContain("full download");
    expect(await demo.left()).toEqual([]);
  });

  test("removes everything when it is interrupted", async () => {
    await using temp = await mountTemp();
    await using demo = await Demo.start(temp, []);
    await demo.saying(/Make an image/);
    await Bun.sleep(1000);
    demo.kill("SIGTERM");
    expect(await demo.ended()).toMatchObject({ code: 143 });
    expect(await demo.left()).toEqual([]);
  });

  test("exits 1 for an image that is not there, and leaves nothing", async () => {
    await using temp = await mountTemp();
    await using demo = await Demo.start(temp, [`oci:${temp.join("nothing")}`]);
    const { code, stderr } = await demo.ended();
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("demo: Cannot open OCI layout"),
    });
    expect(await demo.left()).toEqual([]);
  });

  test("exits 2 for flags", async () => {
    await using temp = await mountTemp();
    await using demo = await Demo.start(temp, ["--fast"]);
    expect(await demo.ended()).toMatchObject({ code: 2 });
  });
});

describeMounts([], "npm run demo, with a mount", () => {
  const MOUNTED = /\/mnt \(process (\d+)\)\n/;

  test("reads the same files through a mount, one of them twice, and leaves nothing", async () => {
    await using temp = await mountTemp();
    await using demo = await Demo.start(temp, [await smallImage(temp)]);
    const { code, stdout } = await demo.ended();
    expect(code).toBe(0);
    expect(stdout.match(/\$ cat \/.*\n.*byte for byte the original/g)).toHaveLength(4);
    expect(stdout).toMatch(/\$ find .*\n(?: +\/.*\/layer-\d\/file-\d+\n){6}/);
    expect(stdout).toMatch(/mount, to the first ls -l \/ +\d+\.\d\d +[1-9]/);
    expect(stdout).toMatch(/mount: large file, from the cache +0\.\d\d +0 +0 B/);
    expect(stdout).toMatch(/mount: all of this +\d+\.\d\d +[1-9]/);
    expect(await demo.left()).toEqual([]);
  });

  test.each([{ name: "SIGINT" }, { name: "SIGTERM" }, { name: "SIGHUP" }] as const)(
    "takes its mount away when it is interrupted by $name",
    async ({ name }) => {
      await using temp = await mountTemp();
      await using demo = await Demo.start(temp, [await smallImage(temp)]);
      await demo.saying(/\$ find /);
      demo.kill(name);
      expect((await demo.ended()).code).toBe(128 + constants.signals[name]);
      expect(await demo.left()).toEqual([]);
    },
  );

  test("takes its mount away when whoever serves it does not answer any more", async () => {
    await using temp = await mountTemp();
    await using demo = await Demo.start(temp, [await smallImage(temp)]);
    const [, pid] = await demo.saying(MOUNTED);
    process.kill(Number(pid), "SIGSTOP");
    await Bun.sleep(300);
    demo.kill("SIGINT");
    expect(await demo.ended()).toMatchObject({ code: 130 });
    expect(await demo.left()).toEqual([]);
  });

  test("goes on when whoever serves its mount is killed, and leaves nothing", async () => {
    await using temp = await mountTemp();
    await using demo = await Demo.start(temp, [await smallImage(temp)]);
    const [, pid] = await demo.saying(MOUNTED);
    process.kill(Number(pid), "SIGKILL");
    expect(await demo.ended()).toMatchObject({ code: 0 });
    expect(await demo.left()).toEqual([]);
  });

  describeWith(["setpriv"], "where it is not let mount", () => {
    test("says so in one line, and does the rest", async () => {
      await using temp = await mountTemp();
      await using demo = await Demo.start(temp, [await smallImage(temp)], {
        prefix: ["setpriv", "--bounding-set", "-sys_admin"],
      });
      const { code, stdout } = await demo.ended();
      expect(code).toBe(0);
      expect(stdout).toMatch(/\n {3}skipped: Cannot mount on ".*": EPERM.*\n {3}\d+\.\d\d s\n/);
      expect(stdout).toContain("lazy: large file");
      expect(stdout).not.toContain("sociable mount");
      expect(await demo.left()).toEqual([]);
    });
  });
});

/** The tables of README.md. */
const SHOWN = BLOCKS.find(({ text }) => text.startsWith("Over "))?.text ?? "";

/** Tables with their titles, without figures, what they make wide, and the demo's indent. */
function tablesIn(output: string): string {
  const tables = output.match(/^\S.*\n\n +seconds .*\n(?:.*x\n)+/gm) ?? [];
  return tables
    .join("\n")
    .replace(/\d+(?:\.\d+)? (?=[KMG]?i?B\b|%)/g, "# ")
    .replace(/[KMG]iB\b/g, "B")
    .replace(/\d+(?:\.\d+)?x?$/gm, "#")
    .replace(/(?<= )\d+(?:\.\d+)?(?= )/g, "#")
    .replace(/^ +/gm, "")
    .replace(/ {2,}/g, "  ");
}

describeMounts(CONTAINERD_PROGRAMS, "npm run demo, with containers", () => {
  const LAZY =
    /Start the same container lazily[\s\S]*\$ sociable serve\n +process (\d+)[\s\S]*\$ ctr run /;

  test(
    "starts a container both ways, with the same output, and leaves nothing",
    async () => {
      await using temp = await mountTemp();
      await using demo = await Demo.start(temp, [await runnableImage(temp)]);
      const { code, stdout, stderr } = await demo.ended();
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const outputs = [...stdout.matchAll(/\$ ctr run .*\n((?: +[0-9a-f]{64} .*\n){3})/g)];
      expect(outputs).toHaveLength(2);
      expect(outputs[0]?.[1]).toBe(outputs[1]?.[1] ?? "");
      expect(stdout).toMatch(/in full: pull +\d+\.\d\d +[1-9]/);
      expect(stdout).toMatch(/lazily: pull +\d+\.\d\d +[1-9]/);
      expect(stdout).toMatch(/lazily: container, started and done +\d+\.\d\d +[1-9]/);
      expect(stdout).toMatch(/lazily: both +\d+\.\d\d +[1-9].*x\n/);
      expect(tablesIn(stdout)).toBe(tablesIn(SHOWN));
      expect(await demo.left()).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "says so in one line when the image has no program to run, and ends well",
    async () => {
      await using temp = await mountTemp();
      await using demo = await Demo.start(temp, [await smallImage(temp)]);
      const { code, stdout } = await demo.ended();
      expect(code).toBe(0);
      expect(stdout).toMatch(/\n {3}skipped: the image has no sha256sum.*\n {3}\d+\.\d\d s\n/);
      expect(stdout).toContain("mount: all of this");
      expect(stdout).not.toContain("ctr run");
    },
    PATIENCE_MS,
  );

  test(
    "says so in one line when the container pulled in full cannot start, and ends well",
    async () => {
      await using temp = await mountTemp();
      const hasher = { name: "bin/sha256sum", mode: 0o755, content: "no program" };
      const image = await buildImage({ layers: [...LAYERS, { entries: [hasher] }] });
      await using demo = await Demo.start(temp, [await named(temp, image)]);
      const { code, stdout } = await demo.ended();
      expect(code).toBe(0);
      expect(stdout).toMatch(/\$ ctr run .*\n {3}skipped: .*exec format error.*\n/);
      expect(stdout).toContain("mount: all of this");
      expect(await demo.left()).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "says what to install where there is no containerd, and ends well",
    async () => {
      await using temp = await mountTemp();
      await mkdir(temp.join("bin"));
      for (const name of ["ls", "find", "cat"]) {
        await symlink(Bun.which(name) ?? name, temp.join("bin", name));
      }
      await using demo = await Demo.start(temp, [await runnableImage(temp)], {
        prefix: ["env", `PATH=${temp.join("bin")}`],
      });
      const { code, stdout } = await demo.ended();
      expect(code).toBe(0);
      expect(stdout).toMatch(/\n {3}skipped: not installed: containerd, .*apt-get install .*\n/);
      expect(stdout).toContain("mount: all of this");
    },
    PATIENCE_MS,
  );

  test(
    "takes containerd away when it is interrupted while it pulls in full",
    async () => {
      await using temp = await mountTemp();
      await using demo = await Demo.start(temp, [await runnableImage(temp)]);
      await demo.saying(/\$ ctr images pull /);
      demo.kill("SIGTERM");
      expect((await demo.ended()).code).toBe(143);
      expect(await demo.left()).toEqual([]);
    },
    PATIENCE_MS,
  );

  test.each([{ name: "SIGINT" }, { name: "SIGTERM" }] as const)(
    "takes containers, shims and mounts away when it is interrupted by $name",
    async ({ name }) => {
      await using temp = await mountTemp();
      await using demo = await Demo.start(temp, [await runnableImage(temp)]);
      await demo.saying(LAZY);
      demo.kill(name);
      expect((await demo.ended()).code).toBe(128 + constants.signals[name]);
      expect(await demo.left()).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "takes them away when the snapshotter does not answer any more",
    async () => {
      await using temp = await mountTemp();
      await using demo = await Demo.start(temp, [await runnableImage(temp)]);
      const [, pid] = await demo.saying(LAZY);
      process.kill(Number(pid), "SIGSTOP");
      await Bun.sleep(300);
      demo.kill("SIGINT");
      expect(await demo.ended()).toMatchObject({ code: 130 });
      expect(await demo.left()).toEqual([]);
    },
    PATIENCE_MS,
  );
});
