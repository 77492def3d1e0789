import { describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { buildImage } from "../../support/image-builder.ts";
import { TestRegistry } from "../../support/registry.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { type CliImage, cliImage } from "./cli-image.ts";

const LOGIN = { username: "me", password: "s3cr3t" };
const image = await buildImage({
  layers: [{ entries: [{ name: "file", content: sampleBytes(100_000) }] }],
});

/** An image in a registry that wants to know who is there. */
async function guarded(): Promise<CliImage> {
  return await cliImage(image, { auth: { kind: "bearer", ...LOGIN } });
}

function line(text: string): readonly Uint8Array[] {
  return [new TextEncoder().encode(`${text}\n`)];
}

const COMMANDS = [
  { command: "create", argv: ["--min-layer-size", "0"], paths: [] },
  { command: "ls", argv: [], paths: [] },
  { command: "cat", argv: [], paths: ["/file"] },
];

describe("sociable and registries that want a login", () => {
  test.each(COMMANDS)("$command --user reads the password", async ({ command, argv, paths }) => {
    await using cli = await guarded();
    const { code } = await cli.run([command, "--user", "me", ...argv, cli.name, ...paths], {
      stdin: line(LOGIN.password),
    });
    expect(code).toBe(0);
  });

  test.each(COMMANDS)("$command finds a stored login", async ({ command, argv, paths }) => {
    await using cli = await guarded();
    const auths = { [cli.registry.host]: LOGIN };
    await writeFile(cli.temp.join("config.json"), JSON.stringify({ auths }));
    const env = { DOCKER_CONFIG: cli.temp.path };
    expect((await cli.run([command, ...argv, cli.name, ...paths], { env })).code).toBe(0);
  });

  test.each(COMMANDS)("$command says how to log in", async ({ command, argv, paths }) => {
    await using cli = await guarded();
    const { code, stdout, stderr } = await cli.run([command, ...argv, cli.name, ...paths]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`docker login ${cli.registry.host}`);
  });

  test("push logs in, too", async () => {
    await using cli = await guarded();
    const user = ["--user", `${LOGIN.username}:${LOGIN.password}`];
    await cli.run(["create", ...user, "--min-layer-size", "0", cli.name]);
    expect((await cli.run(["push", ...user, cli.name])).code).toBe(0);
    expect((await cli.run(["push", cli.name])).code).toBe(1);
  });

  test("a wrong password fails, and is not shown, however much is logged", async () => {
    await using cli = await guarded();
    const { code, stderr } = await cli.run(["ls", "--log-level", "debug", "-u", "me", cli.name], {
      stdin: line("s3cr3t-but-wrong"),
    });
    expect(code).toBe(1);
    expect(stderr).toContain("were not taken");
    expect(stderr).not.toContain("s3cr3t");
    expect(stderr).not.toContain(Buffer.from("me:s3cr3t").toString("base64").slice(0, 12));
  });

  test("a broken config.json fails, and its line is named", async () => {
    await using cli = await guarded();
    await writeFile(cli.temp.join("config.json"), '{\n"auths": s3cr3t}');
    const env = { DOCKER_CONFIG: cli.temp.path };
    const { code, stderr } = await cli.run(["ls", cli.name], { env });
    expect(code).toBe(1);
    expect(stderr).toContain(cli.temp.join("config.json"));
    expect(stderr).toContain("line 2");
    expect(stderr).not.toContain("s3cr3t");
  });

  test("no password is asked for where no registry is involved", async () => {
    await using cli = await guarded();
    const { stderr } = await cli.run(["ls", "--user", "me", `oci:${cli.temp.join("none")}`]);
    expect(stderr).toContain("no such directory");
  });
});

describe("sociable and mirrors", () => {
  async function hostsToml(cli: CliImage, text: string): Promise<readonly string[]> {
    const directory = cli.temp.join("certs.d", "registry.example");
    await mkdir(directory, { recursive: true });
    await writeFile(`${directory}/hosts.toml`, text);
    return ["--hosts-dir", cli.temp.join("certs.d")];
  }

  test("--hosts-dir leads to the mirror, index and all", async () => {
    await using cli = await cliImage(image);
    const flags = await hostsToml(
      cli,
      `server = "http://127.0.0.1:1"\n[host."${cli.registry.url}"]\n`,
    );
    // By the mirror's own name: pushes go to no mirror.
    for (const command of [["create", "--min-layer-size", "0"], ["push"]]) {
      expect((await cli.run([...command, cli.name])).code).toBe(0);
    }
    const read = ["cat", ...flags, "registry.example/app:v1", "/file"];
    const { code, bytes, stderr } = await cli.run(read, { root: "other" });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(Buffer.from(bytes).equals(sampleBytes(100_000))).toBe(true);
  });

  test("what the mirror does not have comes from the registry", async () => {
    await using cli = await cliImage(image);
    await using mirror = TestRegistry.start();
    const flags = await hostsToml(
      cli,
      `server = "${cli.registry.url}"\n[host."${mirror.url}"]\ncapabilities = ["pull", "resolve"]\n`,
    );
    expect((await cli.run(["ls", ...flags, "registry.example/app:v1"])).code).toBe(0);
    expect(mirror.requests.length).toBeGreaterThan(0);
  });

  test("a broken hosts.toml fails, and its line and key are named", async () => {
    await using cli = await cliImage(image);
    const flags = await hostsToml(cli, '[host."https://m"]\nskip_verify = "yes"\n');
    const { code, stderr } = await cli.run(["ls", ...flags, "registry.example/app:v1"]);
    expect(code).toBe(1);
    expect(stderr).toContain('hosts.toml", line 2: host."https://m".skip_verify');
  });
});
