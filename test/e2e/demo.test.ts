import { beforeAll, describe, expect, test } from "bun:test";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { buildImage, writeLayout } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { buildSociable } from "../support/sociable-binary.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

beforeAll(buildSociable, 120_000);

const DEMO = join(import.meta.dirname, "../../scripts/demo.ts");

async function startDemo(temp: TempDir, args: readonly string[]) {
  const tmp = temp.join("tmp");
  await mkdir(tmp);
  const child = Bun.spawn([process.execPath, DEMO, ...args], {
    env: { ...process.env, TMPDIR: tmp },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { child, left: () => readdir(tmp) };
}

describe("npm run demo", () => {
  test("copies an image that is named, reads three files of it and leaves nothing", async () => {
    await using temp = await tempDir();
    const image = await buildImage({
      layers: [1, 2, 3].map((layer) => ({
        entries: [20_000, 1_000_000].map((size) => ({
          name: `layer-${layer}/file-${size}`,
          content: sampleBytes(size, layer),
        })),
      })),
    });
    await writeLayout(temp.join("layout"), { image, tag: "v1" });
    const { child, left } = await startDemo(temp, [`oci:${temp.join("layout")}:v1`]);
    const stdout = await new Response(child.stdout).text();
    expect(await child.exited).toBe(0);
    expect(stdout.match(/byte for byte the original/g)).toHaveLength(3);
    expect(stdout).toContain("full download");
    expect(await left()).toEqual([]);
  });

  test("removes everything when it is interrupted", async () => {
    await using temp = await tempDir();
    const { child, left } = await startDemo(temp, []);
    // It has begun to make its image.
    while ((await left()).length === 0) await Bun.sleep(20);
    await Bun.sleep(1000);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(143);
    expect(await left()).toEqual([]);
  });

  test("exits 1 for an image that is not there, and leaves nothing", async () => {
    await using temp = await tempDir();
    const { child, left } = await startDemo(temp, [`oci:${temp.join("nothing")}`]);
    expect(await child.exited).toBe(1);
    expect(await new Response(child.stderr).text()).toContain("demo: Cannot open OCI layout");
    expect(await left()).toEqual([]);
  });

  test("exits 2 for flags", async () => {
    await using temp = await tempDir();
    const { child } = await startDemo(temp, ["--fast"]);
    expect(await child.exited).toBe(2);
  });
});
