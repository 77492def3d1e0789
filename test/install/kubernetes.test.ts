import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { installCommand } from "../../src/cli/commands/install.ts";
import { uninstallCommand } from "../../src/cli/commands/uninstall.ts";
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
