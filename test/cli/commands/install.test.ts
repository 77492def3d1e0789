import { describe, expect, test } from "bun:test";
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { installCommand } from "../../../src/cli/commands/install.ts";
import { uninstallCommand } from "../../../src/cli/commands/uninstall.ts";
import type { CommandGroup } from "../../../src/cli/registry-entry.ts";
import { tempDir, type TempDir } from "../../support/temp-dir.ts";
import { type CliResult, runInProcess } from "../fake-io.ts";

const registry: CommandGroup = {
  summary: "Test",
  commands: {
    install: { summary: installCommand.summary, load: async () => installCommand },
    uninstall: { summary: uninstallCommand.summary, load: async () => uninstallCommand },
  },
};

const DEBIAN = `version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni" # ours
`;
const WITH_IMPORTS = `version = 3
imports = ["/etc/containerd/conf.d/*.toml"] # drop-ins
`;
const MAIN = "etc/containerd/config.toml";
const DROP_IN = "etc/containerd/conf.d/sociable.toml";
const UNIT = "etc/systemd/system/sociable.service";

/** A host's files below a directory of their own. */
class Host implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly root: string;
  readonly program: string;

  private constructor(dir: TempDir) {
    this.#dir = dir;
    this.root = dir.join("host");
    this.program = dir.join("sociable");
  }

  static async make(files: Readonly<Record<string, string>> = {}): Promise<Host> {
    const host = new Host(await tempDir());
    await mkdir(host.root);
    await writeFile(host.program, "#!/bin/sh\n", { mode: 0o755 });
    for (const [path, text] of Object.entries(files)) await host.write(path, text);
    return host;
  }

  async write(path: string, text: string): Promise<void> {
    const place = join(this.root, path);
    await mkdir(dirname(place), { recursive: true });
    await writeFile(place, text);
  }

  async text(path: string): Promise<string> {
    return await readFile(join(this.root, path), "utf8");
  }

  /** Every path with what is there and its mode. */
  async snapshot(): Promise<Readonly<Record<string, string>>> {
    const paths = await readdir(this.root, { recursive: true });
    const entries = paths.toSorted().map(async (path): Promise<[string, string]> => {
      const place = join(this.root, path);
      const stats = await lstat(place);
      const mode = stats.mode.toString(8);
      if (stats.isSymbolicLink()) return [path, `-> ${await readlink(place)}`];
      return [path, stats.isFile() ? `${mode} ${await readFile(place, "utf8")}` : mode];
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  async run(command: string, ...flags: readonly string[]): Promise<CliResult> {
    return await runInProcess([command, "--root-dir", this.root, ...flags], {
      registry,
      services: { selfCommand: [this.program] },
      uid: 1000,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }
}

const HOSTS = [
  { title: "an empty host", files: {}, flags: [] },
  {
    title: "Debian's containerd",
    files: { [MAIN]: DEBIAN },
    flags: ["--containerd-version", "1.6.20"],
  },
  {
    title: "Debian's containerd with CRI and links",
    files: { [MAIN]: DEBIAN },
    flags: ["--containerd-version", "1.6.20", "--cri", "--symlinks"],
  },
  {
    title: "containerd with drop-ins",
    files: { [MAIN]: WITH_IMPORTS },
    flags: ["--containerd-version", "2.1.3", "--cri"],
  },
] as const;

describe("sociable install", () => {
  test.each([...HOSTS])("a second run changes nothing: $title", async ({ files, flags }) => {
    await using host = await Host.make(files);
    expect(await host.run("install", ...flags)).toMatchObject({ code: 0, stderr: "" });
    const once = await host.snapshot();
    const { stdout } = await host.run("install", ...flags);
    expect(stdout).toStartWith("Nothing to change");
    expect(await host.snapshot()).toEqual(once);
  });

  test.each([...HOSTS])("uninstall makes it what it was: $title", async ({ files, flags }) => {
    await using host = await Host.make(files);
    const before = await host.snapshot();
    await host.run("install", ...flags);
    expect(await host.run("uninstall")).toMatchObject({ code: 0, stderr: "" });
    expect(await host.snapshot()).toEqual(before);
  });

  test.each([...HOSTS])("--dry-run changes nothing: $title", async ({ files, flags }) => {
    await using host = await Host.make(files);
    const before = await host.snapshot();
    const { code, stdout } = await host.run("install", ...flags, "--dry-run");
    expect({ code, hasUnit: stdout.includes(`+++ /${UNIT}\n`) }).toEqual({
      code: 0,
      hasUnit: true,
    });
    expect(await host.snapshot()).toEqual(before);
  });

  test("adds the plugin to containerd's configuration and keeps all else", async () => {
    await using host = await Host.make({ [MAIN]: DEBIAN });
    await chmod(join(host.root, MAIN), 0o640);
    await host.run("install", "--containerd-version", "1.6.20");
    expect(await host.text(MAIN)).toBe(`${DEBIAN}
[proxy_plugins.sociable]
  type = "snapshot"
  address = "/run/sociable/sociable.sock"

[proxy_plugins.sociable.exports]
  root = "/var/lib/sociable"
  enable_remote_snapshot_annotations = "true"
`);
    expect((await stat(join(host.root, MAIN))).mode & 0o777).toBe(0o640);
  });

  test.each([
    { title: "1.6", version: "1.6.20", table: 'plugins."io.containerd.grpc.v1.cri".containerd' },
    {
      title: "2.0, file of version 2",
      version: "2.0.1",
      table: 'plugins."io.containerd.grpc.v1.cri".containerd',
    },
  ])("--cri sets containerd's snapshotter: $title", async ({ version, table }) => {
    await using host = await Host.make({ [MAIN]: DEBIAN });
    await host.run("install", "--containerd-version", version, "--cri");
    expect(await host.text(MAIN)).toEndWith(
      `[${table}]\n  snapshotter = "sociable"\n  disable_snapshot_annotations = false\n`,
    );
  });

  test("--cri tells the transfer service of 2.1, beside overlayfs", async () => {
    await using host = await Host.make({ [MAIN]: WITH_IMPORTS });
    await host.run("install", "--containerd-version", "2.1.0", "--cri");
    expect(await host.text(DROP_IN)).toContain(
      '[plugins."io.containerd.cri.v1.images"]\n  snapshotter = "sociable"\n',
    );
    const main = await host.text(MAIN);
    expect(main.match(/snapshotter = "\w+"/g)).toEqual([
      'snapshotter = "overlayfs"',
      'snapshotter = "sociable"',
    ]);
  });

  test("puts CRI's keys into the main file before 2.0, where imports stand in for sections", async () => {
    await using host = await Host.make({ [MAIN]: `${WITH_IMPORTS.replace("3", "2")}` });
    await host.run("install", "--containerd-version", "1.7.2", "--cri");
    expect(await host.text(DROP_IN)).not.toContain("cri");
    expect(await host.text(MAIN)).toContain('snapshotter = "sociable"');
  });

  test("keeps a plugin of the administrator with another address, and says so", async () => {
    const own = '[proxy_plugins.sociable]\ntype = "snapshot"\naddress = "/run/own.sock"\n';
    await using host = await Host.make({ [MAIN]: own });
    const { stdout } = await host.run("install");
    expect(stdout).toContain("kept /etc/containerd/config.toml");
    expect(await host.text(MAIN)).toBe(own);
  });

  test("keeps units and configuration that somebody else wrote", async () => {
    await using host = await Host.make({
      [UNIT]: "[Unit]\n",
      "etc/sociable/config.toml": "# mine\n",
    });
    const { stdout } = await host.run("install");
    expect(stdout).toContain(`kept /${UNIT}: was not written by sociable install`);
    await host.run("uninstall");
    expect(await host.text(UNIT)).toBe("[Unit]\n");
    expect(await host.text("etc/sociable/config.toml")).toBe("# mine\n");
  });

  test("keeps a unit that has been changed since", async () => {
    await using host = await Host.make();
    await host.run("install");
    await host.write(UNIT, "[Unit]\n");
    const { stdout } = await host.run("install");
    expect(stdout).toContain(`kept /${UNIT}: has been changed since it was installed`);
  });

  test("puts a later program in the place of an earlier one", async () => {
    await using host = await Host.make();
    await host.run("install");
    await writeFile(host.program, "#!/bin/sh\n# later\n");
    const { stdout } = await host.run("install");
    expect(stdout).toStartWith("wrote /usr/local/bin/sociable\n");
    expect(await host.text("usr/local/bin/sociable")).toEndWith("# later\n");
    await host.run("uninstall");
    expect(await readdir(host.root)).toEqual([]);
  });

  test("gives a program back that was there before", async () => {
    await using host = await Host.make({ "usr/local/bin/sociable": "older" });
    const before = await host.snapshot();
    await host.run("install");
    expect(await host.text("usr/local/bin/sociable")).toBe("#!/bin/sh\n");
    await host.run("uninstall");
    expect(await host.snapshot()).toEqual(before);
  });

  test("refuses a link that leads out of the root directory", async () => {
    await using host = await Host.make();
    await symlink("/etc", join(host.root, "etc"));
    expect(await host.run("install")).toMatchObject({ code: 1 });
  });

  test("refuses a configuration of containerd that is not TOML, before it writes anything", async () => {
    await using host = await Host.make({ [MAIN]: "version = = 2\n" });
    const before = await host.snapshot();
    const { code, stderr } = await host.run("install");
    expect({ code, isNamed: stderr.includes("/etc/containerd/config.toml") }).toEqual({
      code: 1,
      isNamed: true,
    });
    expect(await host.snapshot()).toEqual(before);
  });

  test("refuses to change this machine for a user", async () => {
    const { code, stderr } = await runInProcess(["install"], {
      registry,
      services: { selfCommand: ["/usr/local/bin/sociable"] },
      uid: 1000,
    });
    expect({ code, says: stderr.includes("only root can") }).toEqual({ code: 1, says: true });
  });

  test.each([
    { title: "a name with a quote", flags: ["--snapshotter-name", 'a"b'] },
    { title: "a relative configuration", flags: ["--containerd-config", "config.toml"] },
    { title: "a path that climbs", flags: ["--containerd-config", "/etc/../../x"] },
    { title: "no version", flags: ["--containerd-version", "new"] },
  ])("refuses $title", async ({ flags }) => {
    await using host = await Host.make();
    expect(await host.run("install", ...flags)).toMatchObject({ code: 2 });
  });

  test("--json says what was done", async () => {
    await using host = await Host.make();
    const { stdout } = await host.run("install", "--json", "--containerd-version", "2.0.0");
    expect(JSON.parse(stdout)).toMatchObject({
      containerd: "2.0.0",
      kept: [],
      applied: true,
      changes: [
        { path: "/usr/local/bin/sociable", kind: "program" },
        { path: "/etc/sociable/config.toml", kind: "write" },
        { path: "/etc/systemd/system/sociable.socket", kind: "write" },
        { path: `/${UNIT}`, kind: "write" },
        { path: `/${MAIN}`, kind: "write" },
      ],
    });
  });
});

describe("sociable uninstall", () => {
  test("takes our lines out of a file that was changed since, and keeps the rest", async () => {
    await using host = await Host.make({ [MAIN]: DEBIAN });
    await host.run("install", "--containerd-version", "1.6.20", "--cri");
    const changed = `# mine\n${await host.text(MAIN)}\n[debug]\n  level = "debug"\n`;
    await host.write(MAIN, changed);
    await host.run("uninstall");
    expect(await host.text(MAIN)).toBe(`# mine\n${DEBIAN}\n[debug]\n  level = "debug"\n`);
  });

  test("keeps a file of ours that was changed since", async () => {
    await using host = await Host.make();
    await host.run("install");
    await host.write("etc/sociable/config.toml", 'log_level = "debug"\n');
    const { stdout } = await host.run("uninstall");
    expect(stdout).toContain("kept /etc/sociable/config.toml: it has been changed");
    expect(await readdir(join(host.root, "etc"))).toEqual(["sociable"]);
  });

  test("goes on where files are gone already", async () => {
    await using host = await Host.make();
    await host.run("install");
    await rm(join(host.root, "etc/systemd"), { recursive: true });
    expect(await host.run("uninstall")).toMatchObject({ code: 0 });
    expect(await readdir(host.root)).toEqual([]);
  });

  test("has nothing to do where nothing is installed", async () => {
    await using host = await Host.make({ [MAIN]: DEBIAN });
    expect(await host.run("uninstall")).toMatchObject({
      code: 0,
      stdout: "Nothing is installed here\n",
    });
  });

  test("--dry-run shows the way back and changes nothing", async () => {
    await using host = await Host.make({ [MAIN]: DEBIAN });
    await host.run("install", "--containerd-version", "1.6.20");
    const before = await host.snapshot();
    const { stdout } = await host.run("uninstall", "--dry-run");
    expect(stdout).toContain(`--- /${MAIN}\n+++ /${MAIN}\n@@ -`);
    expect(await host.snapshot()).toEqual(before);
  });
});
