import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { containerdSettings } from "../../src/install/containerd-settings.ts";
import { editToml } from "../../src/install/edit-toml.ts";
import { describeWith } from "../support/describe-with.ts";
import { runProgram } from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";

const OPTIONS = {
  file: "/etc/containerd/config.toml",
  name: "sociable",
  socket: "/run/sociable/sociable.sock",
  root: "/var/lib/sociable",
  platform: "linux/amd64",
} as const;

describe("containerdSettings()", () => {
  test.each([
    {
      title: "a pattern of a directory",
      imports: '["/etc/containerd/conf.d/*.toml"]',
      file: "/etc/containerd/conf.d/sociable.toml",
    },
    {
      title: "no directory but a file",
      imports: '["/etc/containerd/other.toml"]',
      file: undefined,
    },
    {
      title: "a pattern from the working directory",
      imports: '["conf.d/*.toml"]',
      file: undefined,
    },
    { title: "many directories", imports: '["/etc/*/*.toml"]', file: undefined },
    { title: "what is no list", imports: '"/etc/containerd/conf.d/*.toml"', file: undefined },
  ])("writes a drop-in where the main file imports: $title", ({ imports, file }) => {
    const text = `version = 2\nimports = ${imports}\n`;
    const { dropIn } = containerdSettings({ ...OPTIONS, text, version: "1.7.0", cri: false });
    expect(dropIn?.file).toBe(file);
  });

  test.each([
    { title: "1.6", version: "1.6.20", form: "2" },
    { title: "2.1", version: "2.1.0", form: "3" },
    { title: "unknown", version: undefined, form: "2" },
  ])("makes a main file where there is none: $title", ({ version, form }) => {
    const { edits } = containerdSettings({ ...OPTIONS, text: undefined, version, cri: false });
    expect(edits[0]).toEqual({ kind: "set", table: [], key: "version", value: form });
  });

  test("adds itself alone to a list of the transfer service", () => {
    const text = `version = 3\n[[plugins."io.containerd.transfer.v1.local".unpack_config]]\nplatform = "linux/amd64"\nsnapshotter = "overlayfs"\n`;
    const { edits } = containerdSettings({ ...OPTIONS, text, version: "2.1.0", cri: true });
    expect(edits.filter(({ kind }) => kind === "append")).toHaveLength(1);
  });

  test("takes a plugin that is there already", () => {
    const text = `[proxy_plugins.sociable]\ntype = "snapshot"\naddress = "unix:///run/sociable/sociable.sock"\n`;
    const { conflicts } = containerdSettings({ ...OPTIONS, text, version: "1.7.0", cri: false });
    expect(conflicts).toEqual([]);
  });
});

describeWith(["containerd"], "containerd", () => {
  test("reads its settings", async () => {
    await using dir = await tempDir();
    const text = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "pause"\n';
    const { edits } = containerdSettings({ ...OPTIONS, text, version: "1.6.20", cri: true });
    await writeFile(dir.join("config.toml"), editToml(text, edits, OPTIONS).text);
    const { stdout } = await runProgram([
      "containerd",
      "--config",
      dir.join("config.toml"),
      "config",
      "dump",
    ]);
    const dump = Buffer.from(stdout).toString();
    expect(dump).toContain('[proxy_plugins.sociable]\n    address = "/run/sociable/sociable.sock"');
    expect(dump).toMatch(/snapshotter = "sociable"/);
    expect(dump).toContain('sandbox_image = "pause"');
  });
});
