import { describe, expect, test } from "bun:test";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { buildImage, writeLayout } from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { type TempDir, tempDir } from "../../support/temp-dir.ts";
import { runSociInProcess } from "./soci-process.ts";

const image = await buildImage({
  layers: [
    { entries: [{ name: "etc/hostname", content: "golden\n" }] },
    { entries: [{ name: "usr/bin/tool", content: sampleBytes(50_000, 4) }] },
  ],
});

async function prepare(): Promise<TempDir> {
  const directory = await tempDir();
  await writeLayout(directory.join("in"), { image });
  return directory;
}

/** With nobody at containerd's socket, and a root that must not be made. */
async function convert(directory: TempDir, argv: readonly string[], minLayerSize = 0) {
  const globals = ["--address", directory.join("nobody.sock"), "--root", directory.join("root")];
  const flags = ["--standalone", "--min-layer-size", String(minLayerSize)];
  return await runSociInProcess([...globals, "convert", ...flags, ...argv], {
    cwd: directory.path,
  });
}

const rootOf = async (directory: string): Promise<string> =>
  JSON.parse(await readFile(`${directory}/index.json`, "utf8")).manifests[0].digest;

describe("soci convert --standalone", () => {
  test("makes a layout without containerd and without a root", async () => {
    await using directory = await prepare();
    const { code, stdout, stderr } = await convert(directory, ["--format", "oci-dir", "in", "out"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n").filter((line) => line.startsWith("layer "))).toHaveLength(2);
    expect(stdout.split("\n")).toHaveLength(3);
    expect((await readdir(directory.path)).toSorted()).toEqual(["in", "out"]);
  });

  test("makes the same archive each time, over one that is there", async () => {
    await using directory = await prepare();
    await writeFile(directory.join("out.tar"), "x");
    expect((await convert(directory, ["in", "out.tar"])).code).toBe(0);
    expect((await convert(directory, ["in", "again.tar"])).code).toBe(0);
    const [one, other] = [directory.join("out.tar"), directory.join("again.tar")];
    expect((await readFile(one)).equals(await readFile(other))).toBe(true);
    expect((await convert(directory, ["--format", "oci-dir", "out.tar", "out"])).code).toBe(0);
    expect((await convert(directory, ["--format", "oci-dir", "in", "direct"])).code).toBe(0);
    expect(await rootOf(directory.join("out"))).toBe(await rootOf(directory.join("direct")));
  });

  test("puts a layout where a file was, when the layout is whole", async () => {
    await using directory = await prepare();
    await writeFile(directory.join("out"), "x");
    const failed = await convert(directory, ["--format", "oci-dir", "in", "out"], 1e9);
    expect(failed).toMatchObject({
      code: 1,
      stderr: "soci: no ztocs created, all layers either skipped or produced errors\n",
    });
    expect(await readFile(directory.join("out"), "utf8")).toBe("x");
    expect((await readdir(directory.path)).toSorted()).toEqual(["in", "out"]);
    expect((await convert(directory, ["--format", "oci-dir", "in", "out"])).code).toBe(0);
    expect((await stat(directory.join("out", "index.json"))).isFile()).toBe(true);
    expect((await readdir(directory.path)).toSorted()).toEqual(["in", "out"]);
  });

  test("keeps what else is in a directory that it writes to", async () => {
    await using directory = await prepare();
    await mkdir(directory.join("out"));
    await writeFile(directory.join("out", "keep"), "x");
    expect((await convert(directory, ["--format", "oci-dir", "in", "out"])).code).toBe(0);
    expect(await readFile(directory.join("out", "keep"), "utf8")).toBe("x");
  });

  test.each([
    { output: "in", why: "is a directory" },
    { output: "no/dir/out.tar", why: "no such file or directory" },
  ])("refuses to write an archive to $output", async ({ output, why }) => {
    await using directory = await prepare();
    expect(await convert(directory, ["in", output])).toEqual({
      code: 1,
      stdout: "",
      stderr: `soci: failed to create output tar ${output}: open ${output}: ${why}\n`,
    });
  });

  test.each([
    { title: "no layout", put: async (at: string) => await mkdir(at) },
    { title: "no tar", put: async (at: string) => await writeFile(at, "not a tar") },
    {
      title: "a layout with half an index.json",
      put: async (at: string) => {
        await mkdir(at);
        await writeFile(`${at}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
        await writeFile(`${at}/index.json`, "{");
      },
    },
  ])("refuses $title in one line and leaves nothing", async ({ put }) => {
    await using directory = await prepare();
    await put(directory.join("bad"));
    const { code, stdout, stderr } = await convert(directory, ["bad", "out.tar"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^soci: .*\n$/);
    expect((await readdir(directory.path)).toSorted()).toEqual(["bad", "in"]);
  });
});
