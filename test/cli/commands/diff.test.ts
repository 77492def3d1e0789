import { describe, expect, test } from "bun:test";
import { diffCommand } from "../../../src/cli/commands/diff.ts";
import { addImage, buildImage } from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import type { FakeIoOptions } from "../fake-io.ts";
import { type CliImage, cliImage } from "./cli-image.ts";
import { withCommands } from "./with-commands.ts";

const registry = withCommands([diffCommand]);

const BASE = { entries: [{ name: "big", content: sampleBytes(200_000) }] };
const old = await buildImage({
  layers: [
    BASE,
    {
      entries: [
        { name: "etc/", type: "directory" },
        { name: "etc/motd", content: "hello" },
        { name: "gone\u001b[2J", content: "xyz" },
        { name: "rebuilt", content: "same size" },
      ],
    },
  ],
});
const current = await buildImage({
  layers: [
    BASE,
    {
      entries: [
        { name: "etc/", type: "directory" },
        { name: "etc/motd", content: "hello world", mode: 0o600 },
        { name: "link", type: "symlink", linkname: "etc/\u001b[31mx" },
        { name: "rebuilt", content: "same size" },
      ],
    },
  ],
});

/** Both images in one registry, with indexes. */
async function images(): Promise<CliImage & { readonly other: string }> {
  await using stack = new AsyncDisposableStack();
  const cli = stack.use(await cliImage(old));
  await addImage(cli.registry, "app", { image: current, tag: "v2" });
  const other = cli.name.replace(/v1$/, "v2");
  for (const name of [cli.name, other]) {
    expect((await cli.run(["create", "--min-layer-size", "0", name])).code).toBe(0);
  }
  const owned = stack.move();
  return { ...cli, other, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function diff(
  cli: CliImage & { readonly other: string },
  flags: readonly string[] = [],
  options: FakeIoOptions = {},
) {
  return cli.run(["diff", ...flags, cli.name, cli.other], { registry, ...options });
}

describe("sociable diff", () => {
  test("lists what was added, removed and changed, names fit for a terminal", async () => {
    await using cli = await images();
    expect(await diff(cli)).toMatchObject({
      code: 0,
      stdout: [
        "~ /etc/motd  size 5 -> 11, mode -rw-r--r-- -> -rw-------",
        "- /gone\\x1b[2J  3 B",
        "+ /link  -> etc/\\x1b[31mx",
        "1 added (0 B), 1 removed (3 B), 1 changed (5 B -> 11 B), 3 the same, 1 that look the same but lie in different layers, not compared",
        "",
      ].join("\n"),
    });
  });

  test("fetches nothing of the layers", async () => {
    await using cli = await images();
    cli.registry.clearRequests();
    expect((await diff(cli)).code).toBe(0);
    const layers = [...old.layers, ...current.layers].map(
      ({ descriptor }) => descriptor.digest as string,
    );
    const asked = cli.registry.requests.map(({ path }) => path.split("/").at(-1) ?? "");
    expect(asked.filter((name) => layers.includes(name))).toEqual([]);
  });

  test("lists what was not compared with --unverified, and nothing with --summary", async () => {
    await using cli = await images();
    expect((await diff(cli, ["--unverified"])).stdout).toContain("? /rebuilt\n");
    expect((await diff(cli, ["--summary"])).stdout).toMatch(/^1 added .*\n$/);
  });

  test("leaves out what is ignored", async () => {
    await using cli = await images();
    const { stdout } = await diff(cli, ["--ignore", "mode"]);
    expect(stdout).toContain("~ /etc/motd  size 5 -> 11\n");
  });

  test("prints a JSON object with --json", async () => {
    await using cli = await images();
    const { stdout } = await diff(cli, ["--json"]);
    expect(JSON.parse(stdout)).toEqual({
      before: {
        image: cli.name,
        manifest: old.descriptor.digest,
        layers: old.layers.map(({ descriptor }) => descriptor.digest),
      },
      after: {
        image: cli.other,
        manifest: current.descriptor.digest,
        layers: current.layers.map(({ descriptor }) => descriptor.digest),
      },
      changes: [
        {
          kind: "changed",
          path: "/etc/motd",
          aspects: ["content", "mode"],
          before: expect.objectContaining({ type: "reg", mode: "0644", size: 5 }),
          after: expect.objectContaining({ type: "reg", mode: "0600", size: 11 }),
        },
        {
          kind: "removed",
          path: "/gone\u001b[2J",
          before: expect.objectContaining({ size: 3 }),
        },
        {
          kind: "added",
          path: "/link",
          after: expect.objectContaining({ type: "symlink", target: "etc/\u001b[31mx" }),
        },
      ],
      summary: {
        added: 1,
        removed: 1,
        changed: 1,
        unverified: 1,
        same: 3,
        addedBytes: 0,
        removedBytes: 3,
        changedFromBytes: 5,
        changedToBytes: 11,
      },
    });
  });

  test("says nothing more than a summary of two names of one image", async () => {
    await using cli = await images();
    const argv = ["diff", "--exit-code", cli.name, cli.name];
    expect(await cli.run(argv, { registry })).toMatchObject({
      code: 0,
      stdout: "No difference in 6 files\n",
    });
    const json = await cli.run(["diff", "--json", cli.name, cli.name], { registry });
    expect(JSON.parse(json.stdout)).toMatchObject({ changes: [], summary: { same: 6 } });
  });

  test("exits with 1 for a difference with --exit-code, and says nothing of it", async () => {
    await using cli = await images();
    expect(await diff(cli, ["--exit-code", "-s"])).toMatchObject({ code: 1, stderr: "" });
  });

  test("colours lines on a terminal", async () => {
    await using cli = await images();
    const { stdout } = await diff(cli, [], { stdoutIsTty: true });
    expect(stdout).toContain("\u001b[31m- /gone\\x1b[2J\u001b[39m");
    expect(stdout).toContain("\u001b[32m+ /link\u001b[39m");
  });

  test("reads an image without an index whole, and says so", async () => {
    await using cli = await images();
    const argv = ["diff", "-s", cli.name, cli.other];
    const { code, stdout, stderr } = await cli.run(argv, { registry, root: "another" });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^1 added /);
    expect(stderr).toContain(`No SOCI index of ${cli.other} was found`);
  });

  test("fails for an image that is not there, and prints nothing", async () => {
    await using cli = await images();
    const argv = ["diff", cli.name, `${cli.other}-not`];
    expect(await cli.run(argv, { registry })).toMatchObject({ code: 1, stdout: "" });
  });
});
