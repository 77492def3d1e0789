import { beforeAll, describe, expect, test } from "bun:test";
import { doctorCommand } from "../../../src/cli/commands/doctor.ts";
import type { CommandGroup } from "../../../src/cli/registry-entry.ts";
import type { Check } from "../../../src/install/checks/check.ts";
import { CONTAINERD_PROGRAMS } from "../../support/containerd-process.ts";
import { describeMounts } from "../../support/describe-mounts.ts";
import { buildLayer, type BuiltLayer } from "../../support/image-builder.ts";
import { TestRegistry } from "../../support/registry.ts";
import type { RegistryManners } from "../../support/registry-manners.ts";
import { putServeImage } from "../../support/serve-image.ts";
import { ServeHost } from "../../support/serve-host.ts";
import { buildSociable } from "../../support/sociable-binary.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { runInProcess } from "../fake-io.ts";

const registry: CommandGroup = {
  summary: "Test",
  commands: { doctor: { summary: doctorCommand.summary, load: async () => doctorCommand } },
};

let layer: BuiltLayer;

beforeAll(async () => {
  layer = await buildLayer({ entries: [{ name: "a", content: "a" }] });
});

/** Nobody serves, and there is no containerd. */
async function doctor(...words: readonly string[]) {
  await using dir = await tempDir();
  const sockets = ["--address", dir.join("s"), "--containerd-address", dir.join("c")];
  return await runInProcess(["doctor", "--root", dir.path, ...sockets, ...words], { registry });
}

async function checksOf(...words: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const { stdout } = await doctor("--json", ...words);
  const checks = JSON.parse(stdout) as readonly Check[];
  return Object.fromEntries(checks.map(({ name, status }) => [name, status]));
}

describe("sociable doctor", () => {
  test("fails where there is no containerd and no service, and says what to do", async () => {
    const { code, stdout, stderr } = await doctor();
    expect(code).toBe(1);
    expect(stdout).toMatch(/^fail {2}containerd +nobody answers at \S+\n +-> Start it/m);
    expect(stdout).toMatch(/^fail {2}service socket/m);
    expect(stderr).toContain("checks failed");
  });

  test.each([
    {
      title: "an indexed image",
      manners: {},
      index: "referrer",
      want: { registry: "ok", ranges: "ok", index: "ok" },
    },
    {
      title: "an image without an index",
      manners: {},
      index: "none",
      want: { registry: "ok", ranges: "ok", index: "warn" },
    },
    {
      title: "a registry that gives no ranges",
      manners: { ignoreRange: true },
      index: "referrer",
      want: { registry: "ok", ranges: "warn", index: "ok" },
    },
  ] as const)("looks at $title", async ({ manners, index, want }) => {
    const given: Partial<RegistryManners> = manners;
    await using server = TestRegistry.start(given);
    await putServeImage(server, { repository: "app", layers: [layer], index });
    expect(await checksOf(`${server.host}/app:latest`)).toMatchObject(want);
  });

  test("fails for an image that is not there", async () => {
    await using server = TestRegistry.start();
    expect(await checksOf(`${server.host}/app:latest`)).toMatchObject({ registry: "fail" });
  });
});

describeMounts(CONTAINERD_PROGRAMS, "sociable doctor on a host that serves", () => {
  test("finds containerd, the plugin and the service", async () => {
    await buildSociable();
    await using host = await ServeHost.start();
    const sockets = [
      ["--address", host.serve.address],
      ["--containerd-address", host.containerd.address],
    ].flat();
    const { stdout } = await runInProcess(["doctor", "--json", ...sockets], { registry });
    const checks = JSON.parse(stdout) as readonly Check[];
    const found = Object.fromEntries(checks.map(({ name, status }) => [name, status]));
    expect(found).toMatchObject({
      containerd: "ok",
      "containerd plugin": "ok",
      "service socket": "ok",
      "service answers": "ok",
    });
  }, 120_000);
});
