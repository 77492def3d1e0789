import { describe, expect, test } from "bun:test";
import { buildImage } from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { cliImage } from "./cli-image.ts";

const image = await buildImage({
  layers: [
    {
      entries: [
        { name: "bin/", type: "directory", mode: 0o755 },
        { name: "bin/tool", content: "12345", mode: 0o4755, uid: 1, gid: 22 },
        { name: "gone", content: "x" },
        { name: "hidden/", type: "directory" },
        { name: "hidden/old", content: "x" },
      ],
    },
    {
      entries: [
        { name: ".wh.gone", content: "" },
        { name: "hidden/.wh..wh..opq", content: "" },
        { name: "hidden/new", content: sampleBytes(1000) },
        { name: "link", type: "symlink", linkname: "bin" },
        { name: "null", type: "character-device", devmajor: 1, devminor: 3, mode: 0o666 },
        { name: "odd\u001b[2J", content: "" },
        { name: "tmp/", type: "directory", mode: 0o1777, mtime: new Date("2024-05-06T07:08:09Z") },
      ],
    },
  ],
});

describe("sociable ls", () => {
  test("lists the root of the merged image", async () => {
    await using cli = await cliImage(image);
    const { code, stdout } = await cli.run(["ls", cli.name]);
    expect(code).toBe(0);
    expect(stdout).toBe("bin\nhidden\nlink\nnull\nodd\u001b[2J\ntmp\n");
  });

  test("shows what control characters a name has on a terminal", async () => {
    await using cli = await cliImage(image);
    const { stdout } = await cli.run(["ls", cli.name], {
      stdoutIsTty: true,
      env: { NO_COLOR: "1" },
    });
    expect(stdout).not.toContain("\u001b");
    expect(stdout).toContain("odd\\x1b[2J\n");
  });

  test("colours names by what they name, on a terminal alone", async () => {
    await using cli = await cliImage(image);
    const { stdout } = await cli.run(["ls", cli.name], { stdoutIsTty: true });
    expect(stdout).toContain("\u001b[34mbin\u001b[39m\n");
    expect(stdout).toContain("\u001b[36mlink\u001b[39m\n");
    expect(stdout).toContain("\nodd\\x1b[2J\n");
  });

  test("shows sizes for people on a terminal alone", async () => {
    await using cli = await cliImage(image);
    const { stdout } = await cli.run(["ls", "-l", cli.name, "/hidden/new"], { stdoutIsTty: true });
    expect(stdout).toContain(" 1000 B ");
  });

  test("escapes controls that JSON lets through, on a terminal", async () => {
    const named = await buildImage({
      layers: [{ entries: [{ name: "c1\u009b2J\u202e", content: "" }] }],
    });
    await using cli = await cliImage(named);
    const { stdout } = await cli.run(["ls", "--json", cli.name], { stdoutIsTty: true });
    expect(stdout).toContain("/c1\\u009b2J\\u202e");
    expect(JSON.parse(stdout)).toMatchObject([{ path: "/c1\u009b2J\u202e" }]);
  });

  test("follows a symlink to a directory", async () => {
    await using cli = await cliImage(image);
    expect(await cli.run(["ls", cli.name, "/link"])).toMatchObject({ stdout: "tool\n" });
  });

  test("names a file that is asked for", async () => {
    await using cli = await cliImage(image);
    expect(await cli.run(["ls", cli.name, "bin/tool"])).toMatchObject({ stdout: "bin/tool\n" });
  });

  test("hides what lies under an opaque directory", async () => {
    await using cli = await cliImage(image);
    expect(await cli.run(["ls", cli.name, "/hidden"])).toMatchObject({ stdout: "new\n" });
  });

  test("lists modes, owners, sizes, times and targets with -l", async () => {
    await using cli = await cliImage(image);
    expect((await cli.run(["ls", "-l", cli.name, "/bin/tool"])).stdout).toBe(
      "-rwsr-xr-x 1 1 22 5 1970-01-01 00:00 bin/tool\n",
    );
    const { stdout } = await cli.run(["ls", "-l", cli.name]);
    expect(stdout).toMatch(/^lrwxrwxrwx 1 +0 +0 +3 1970-01-01 00:00 link -> bin$/m);
    expect(stdout).toMatch(/^crw-rw-rw- 1 +0 +0 1, 3 1970-01-01 00:00 null$/m);
    expect(stdout).toMatch(/^drwxrwxrwt 1 +0 +0 +0 2024-05-06 07:08 tmp$/m);
  });

  test("lists all directories with -R", async () => {
    await using cli = await cliImage(image);
    const { stdout } = await cli.run(["ls", "-R", cli.name]);
    expect(stdout).toContain("/bin:\ntool\n\n/hidden:\nnew\n\n/tmp:\n\n");
  });

  test("prints a JSON array with --json", async () => {
    await using cli = await cliImage(image);
    const { stdout } = await cli.run(["ls", "--json", cli.name, "/bin"]);
    expect(JSON.parse(stdout)).toEqual([
      {
        path: "/bin/tool",
        type: "reg",
        mode: "4755",
        uid: 1,
        gid: 22,
        size: 5,
        mtime: "1970-01-01T00:00:00Z",
        links: 1,
      },
    ]);
  });

  test("prints an empty JSON array for an empty directory", async () => {
    await using cli = await cliImage(image);
    expect(await cli.run(["ls", "--json", cli.name, "/tmp"])).toMatchObject({ stdout: "[]\n" });
  });

  test("fetches no layer when there is an index", async () => {
    await using cli = await cliImage(image);
    await cli.run(["create", "--min-layer-size", "0", cli.name]);
    cli.registry.clearRequests();
    const { code } = await cli.run(["ls", "-lR", cli.name]);
    const layers = image.layers.map(({ descriptor }) => descriptor.digest as string);
    const asked = cli.registry.requests.map(({ path }) => path.split("/").at(-1) ?? "");
    expect(code).toBe(0);
    expect(asked.filter((name) => layers.includes(name))).toEqual([]);
  });

  test("exits 1 for a path that is not there, and prints nothing", async () => {
    await using cli = await cliImage(image);
    expect(await cli.run(["ls", cli.name, "/gone"])).toMatchObject({ code: 1, stdout: "" });
  });
});
