import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { buildImage, writeLayout } from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { type CliImage, cliImage } from "./cli-image.ts";

const one = sampleBytes(200_000, 1);
const two = sampleBytes(200_000, 2);
const image = await buildImage({
  layers: [
    {
      entries: [
        { name: "dir/", type: "directory" },
        { name: "dir/one", content: one },
        { name: "gone", content: "x" },
        { name: "hard", type: "link", linkname: "dir/one" },
        { name: "soft", type: "symlink", linkname: "/dir/one" },
        { name: "out", type: "symlink", linkname: "../../../../etc/passwd" },
        { name: "loop", type: "symlink", linkname: "loop" },
        { name: "fifo", type: "fifo" },
      ],
    },
    {
      entries: [
        { name: "two", content: two },
        { name: ".wh.gone", content: "" },
      ],
    },
  ],
});

/** An image with its index pushed; reading happens on another machine. */
async function indexed(manners: Parameters<typeof cliImage>[1] = {}): Promise<CliImage> {
  const cli = await cliImage(image, manners);
  const flags = ["--min-layer-size", "0", "--span-size", "64KiB"];
  await cli.run(["create", ...flags, cli.name], { root: "builder" });
  await cli.run(["push", cli.name], { root: "builder" });
  cli.registry.clearRequests();
  return cli;
}

describe("sociable cat", () => {
  test.each([
    { title: "by its path", path: "/dir/one" },
    { title: "without the leading slash", path: "dir/one" },
    { title: "through a hard link", path: "/hard" },
    { title: "through a symlink", path: "/soft" },
    { title: "through . and ..", path: "/dir/../dir/./one" },
  ])("prints a file $title", async ({ path }) => {
    await using cli = await indexed();
    const { code, bytes, stderr } = await cli.run(["cat", cli.name, path]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(Buffer.from(bytes).equals(one)).toBe(true);
  });

  test("prints several files one after another", async () => {
    await using cli = await indexed();
    const { bytes } = await cli.run(["cat", cli.name, "/two", "/dir/one", "/two"]);
    expect(Buffer.from(bytes).equals(Buffer.concat([two, one, two]))).toBe(true);
  });

  test.each([
    { title: "a name that is not there", path: "/nothing", code: 1 },
    { title: "a file that an upper layer removed", path: "/gone", code: 1 },
    { title: "a symlink out of the image, to what is not in it", path: "/out", code: 1 },
    { title: "a symlink to itself", path: "/loop", code: 1 },
    { title: "a directory", path: "/dir", code: 2 },
    { title: "a fifo", path: "/fifo", code: 2 },
    { title: "a file with a slash behind it", path: "/two/", code: 1 },
  ])("prints nothing and exits $code for $title", async ({ path, code }) => {
    await using cli = await indexed();
    expect(await cli.run(["cat", cli.name, "/dir/one", path])).toMatchObject({ code, stdout: "" });
  });

  test("prints what it took with --stats, on standard error", async () => {
    await using cli = await indexed();
    const { bytes, stderr } = await cli.run(["cat", "--stats", cli.name, "/two"]);
    const requests = cli.registry.requests.length;
    expect(Buffer.from(bytes).equals(two)).toBe(true);
    expect(stderr).toMatch(
      new RegExp(
        `^requests: ${requests}\\nbytes fetched: \\d+\\nbytes of the image: \\d+ .*%\\)\\n$`,
      ),
    );
  });

  test("says that there is no index, and reads the layers", async () => {
    await using cli = await cliImage(image);
    const { code, bytes, stderr } = await cli.run(["cat", cli.name, "/two"]);
    expect(code).toBe(0);
    expect(Buffer.from(bytes).equals(two)).toBe(true);
    expect(stderr).toContain("No SOCI index");
  });

  test("uses an index that is only here", async () => {
    await using cli = await cliImage(image);
    await cli.run(["create", "--min-layer-size", "0", cli.name]);
    const { stderr, bytes } = await cli.run(["cat", cli.name, "/two"]);
    expect(stderr).toBe("");
    expect(Buffer.from(bytes).equals(two)).toBe(true);
  });

  test("uses an index in the layout beside the image", async () => {
    await using cli = await cliImage(image);
    const name = `oci:${cli.temp.join("layout")}`;
    await writeLayout(cli.temp.join("layout"), { image, tag: "v1" });
    const argv = ["create", "--min-layer-size", "0", "--output", name, `${name}:v1`];
    expect(await cli.run(argv)).toMatchObject({ code: 0 });
    const { stderr, bytes } = await cli.run(["cat", `${name}:v1`, "/two"]);
    expect(stderr).toBe("");
    expect(Buffer.from(bytes).equals(two)).toBe(true);
  });

  test("uses the index of a file with --index", async () => {
    await using cli = await indexed();
    const created = ["create", "--json", "--min-layer-size", "0", "--span-size", "64KiB", cli.name];
    const [{ digest }] = JSON.parse((await cli.run(created, { root: "builder" })).stdout);
    const index = cli.registry.manifest("app", digest)?.bytes ?? new Uint8Array(0);
    await writeFile(cli.temp.join("index.json"), index);
    const { code, bytes } = await cli.run(["cat", "--index", "index.json", cli.name, "/two"]);
    expect(code).toBe(0);
    expect(Buffer.from(bytes).equals(two)).toBe(true);
  });

  test.each([
    {
      title: "there is no such file",
      flag: "none.json",
      says: 'Cannot read SOCI index "none.json"',
    },
    { title: "it is a directory", flag: ".", says: 'Cannot read SOCI index "."' },
    { title: "it is something else", flag: "noise", says: "noise" },
    { title: "nobody has the digest", flag: `sha256:${"0".repeat(64)}`, says: "sha256:0000" },
  ])("exits 1 for --index when $title", async ({ flag, says }) => {
    await using cli = await cliImage(image);
    await writeFile(cli.temp.join("noise"), "noise");
    const { code, stdout, stderr } = await cli.run(["cat", "--index", flag, cli.name, "/two"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(says);
  });

  test("makes no local store to read", async () => {
    await using cli = await indexed();
    await cli.run(["cat", cli.name, "/two"], { root: "reader" });
    expect(await Array.fromAsync(new Bun.Glob("reader/**").scan(cli.temp.path))).toEqual([]);
  });

  test("exits 1 with no wrong byte printed when a span stays wrong, and names layer and span", async () => {
    await using cli = await indexed();
    const layer = image.layers[1]?.descriptor.digest ?? "";
    cli.registry.corruptNext(100, { at: 10, path: new RegExp(layer) });
    const { code, bytes, stderr } = await cli.run(["cat", cli.name, "/two"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`span 0 of layer ${layer}`));
    expect(two.subarray(0, bytes.length).equals(bytes)).toBe(true);
  });

  test("exits 130 when it is interrupted", async () => {
    await using cli = await indexed();
    const { Interrupt } = await import("../../../src/cli/cli-io.ts");
    const signal = AbortSignal.abort(new Interrupt("SIGINT"));
    expect(await cli.run(["cat", cli.name, "/two"], { signal })).toMatchObject({ code: 130 });
  });
});
