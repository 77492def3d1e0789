import { describe, expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { installCommand } from "../../src/cli/commands/install.ts";
import { uninstallCommand } from "../../src/cli/commands/uninstall.ts";
import { DEFAULT_CONFIG_FILES } from "../../src/cli/config-file.ts";
import { loadConfig } from "../../src/config/config.ts";
import { parseHostsFile } from "../../src/oci/hosts-file.ts";
import { describeWith } from "../support/describe-with.ts";
import { runProgram } from "../support/sociable-binary.ts";

const DIRECTORY = join(import.meta.dirname, "../../scripts/kubernetes");

async function text(path: string): Promise<string> {
  return await Bun.file(join(DIRECTORY, path)).text();
}

describe("scripts/kubernetes", () => {
  test.each([
    { path: "install/daemon-set.yaml", command: installCommand },
    { path: "uninstall/daemon-set.yaml", command: uninstallCommand },
  ])("$path runs sociable with flags that it has", async ({ path, command }) => {
    const [, line = ""] =
      new RegExp(`/sociable ${command.name}(.*)$`, "m").exec(await text(path)) ?? [];
    const flags = line.match(/(?<=--)[\w-]+/g) ?? [];
    expect(flags.filter((flag) => !Object.hasOwn(command.flags, flag))).toEqual([]);
  });

  test("README.md names folders, files and objects that there are", async () => {
    const readme = await text("README.md");
    const folders = [...readme.matchAll(/`kubectl \w+ -k ([\w-]+)`/g)].map(([, folder]) => folder);
    expect(folders).toEqual(["install", "install", "uninstall"]);
    for (const folder of folders) {
      expect(await text(`${folder}/kustomization.yaml`)).toContain("namespace: sociable\n");
    }
    expect(readme).toContain("`kubectl -n sociable rollout status daemonset/sociable-install`");
    expect(await text("install/daemon-set.yaml")).toMatch(
      /^kind: DaemonSet\nmetadata:\n {2}name: sociable-install$/m,
    );
    expect(readme).toContain("Name it in `install/kustomization.yaml` (`newName`, `newTag`)");
    expect(await text("install/kustomization.yaml")).toMatch(/newName: .*\n +newTag: /);
    expect(readme).toContain("put `sociable` of a release beside the `Containerfile`");
    expect(await text("Containerfile")).toMatch(/^COPY .* sociable /m);
    expect(readme).toMatch(/^`pull-secrets` is an account /m);
    expect(await text("pull-secrets/kustomization.yaml")).toContain("kind: Kustomization");
  });

  test("README.md shows a configuration and a hosts.toml that are taken", async () => {
    const blocks = [...(await text("README.md")).matchAll(/^```toml\n# (\S+)\n([\s\S]*?)^```$/gm)];
    const [[, configPath, config = ""] = [], [, hostsPath = "", hosts = ""] = []] = blocks;
    expect(blocks).toHaveLength(2);
    expect(configPath).toBe(DEFAULT_CONFIG_FILES.sociable);
    const loaded = loadConfig(config, { file: configPath ?? "", personality: "sociable" });
    expect(loaded.warnings).toEqual([]);
    const directory = dirname(hostsPath);
    expect(loaded.config.registry.hostsDir).toBe(dirname(directory));
    const { mirrors, server } = parseHostsFile(new TextEncoder().encode(hosts), {
      path: hostsPath,
      directory,
    });
    expect(mirrors.map(({ api }) => api.href)).toEqual(["http://127.0.0.1:4001/v2/"]);
    expect(server.api?.href).toBe("https://registry.example.com/v2/");
  });

  test("the account that installs gets no token of the cluster", async () => {
    expect(await text("install/daemon-set.yaml")).toContain("automountServiceAccountToken: false");
    expect(await text("install/service-account.yaml")).toContain(
      "automountServiceAccountToken: false",
    );
  });
});

describeWith(["kubectl"], "kubectl kustomize", () => {
  test.each([
    { name: "install", kinds: ["DaemonSet", "Namespace", "ServiceAccount"] },
    { name: "uninstall", kinds: ["DaemonSet", "Namespace"] },
    {
      name: "pull-secrets",
      kinds: ["ClusterRole", "ClusterRoleBinding", "Secret", "ServiceAccount"],
    },
  ])("makes documents of $name", async ({ name, kinds }) => {
    const { code, stdout, stderr } = await runProgram([
      "kubectl",
      "kustomize",
      join(DIRECTORY, name),
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const found = Buffer.from(stdout)
      .toString()
      .matchAll(/^kind: (\w+)$/gm);
    expect(Array.from(found, ([, kind = ""]) => kind).toSorted()).toEqual([...kinds]);
  });
});
