import { describe, expect, test } from "bun:test";
import { digestOf } from "../../../src/oci/digest.ts";
import { buildLayer } from "../../support/image-builder.ts";
import { putSampleIndex } from "./index-sandbox.ts";
import { createZtoc, sampleLayer, sandbox } from "./ztoc-sandbox.ts";

const layer = await sampleLayer();
const other = await buildLayer({ entries: [{ name: "other", content: "1" }] });
const ABSENT = `sha256:${"0".repeat(64)}`;

describe("ztoc list", () => {
  test("prints a table as the reference does", async () => {
    await using box = await sandbox();
    const digest = await createZtoc(box, layer.bytes, []);
    const { code, stdout } = await box.run(["ztoc", "list"]);
    await using store = await box.openStore();
    const size = String(store.artifacts.get(digest)?.size);
    const pad = (text: string, width: number) => text.padEnd(width + 4);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout:
        `${pad("DIGEST", 71)}${pad("SIZE", size.length)}${pad("LAYER DIGEST", 71)}\n` +
        `${pad(digest, 71)}${pad(size, size.length)}${pad(digestOf(layer.bytes), 71)}\n`,
    });
  });

  test("prints a table for people on a terminal", async () => {
    await using box = await sandbox();
    const digest = await createZtoc(box, layer.bytes, []);
    const { stdout } = await box.run(["ztoc", "list"], { stdoutIsTty: true });
    expect(stdout).toStartWith("\u001b[1mZTOC\u001b[22m ");
    expect(stdout).toContain(`\n${digest}  `);
    expect(stdout).toMatch(/ KiB +4\.0 MiB +just now +sha256:[0-9a-f]{64}\n$/);
  });

  test("prints the header alone when there is nothing", async () => {
    await using box = await sandbox();
    const { code, stdout } = await box.run(["ztoc", "ls"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "DIGEST    SIZE    LAYER DIGEST    \n" });
  });

  test("prints digests only with --quiet, in their order, each once", async () => {
    await using box = await sandbox();
    const digests = [
      await createZtoc(box, layer.bytes, []),
      await createZtoc(box, other.bytes, []),
      await createZtoc(box, layer.bytes, ["--span-size", "4096"]),
    ];
    const { stdout } = await box.run(["ztoc", "list", "-q"]);
    expect(stdout).toBe(
      digests
        .sort()
        .map((digest) => `${digest}\n`)
        .join(""),
    );
  });

  test("prints one zTOC with --ztoc-digest", async () => {
    await using box = await sandbox();
    const digest = await createZtoc(box, layer.bytes, []);
    await createZtoc(box, other.bytes, []);
    const { stdout } = await box.run(["ztoc", "list", "--ztoc-digest", digest, "--quiet"]);
    expect(stdout).toBe(`${digest}\n`);
  });

  test("prints nothing for a digest that is not there", async () => {
    await using box = await sandbox();
    const { code, stdout } = await box.run(["ztoc", "list", "--ztoc-digest", ABSENT, "-q"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  });

  test("prints what it knows with --json", async () => {
    await using box = await sandbox();
    const digest = await createZtoc(box, layer.bytes, ["--span-size", "64k"]);
    const { stdout } = await box.run(["ztoc", "list", "--json"]);
    expect(JSON.parse(stdout)).toEqual([
      {
        digest,
        size: expect.any(Number),
        layerDigest: digestOf(layer.bytes),
        spanSize: 65_536,
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      },
    ]);
  });

  test("prints an empty JSON array when there is nothing", async () => {
    await using box = await sandbox();
    expect((await box.run(["ztoc", "list", "--json"])).stdout).toBe("[]\n");
  });

  test("prints the zTOCs of an image's indexes with --image-ref", async () => {
    await using box = await sandbox();
    await createZtoc(box, other.bytes, []);
    await putSampleIndex(box, { imageName: "registry.test/app:v1", layer });
    const { stdout } = await box.run(
      "ztoc list --image-ref registry.test/app:v1 --json".split(" "),
    );
    expect(JSON.parse(stdout)).toMatchObject([{ layerDigest: layer.descriptor.digest }]);
  });

  test.each([
    { title: "an image without an index", argv: ["--image-ref", "registry.test/no"], code: 1 },
    {
      title: "a zTOC that is not of the image",
      argv: ["--image-ref", "registry.test/app:v1", "--ztoc-digest", ABSENT],
      code: 1,
    },
    { title: "half a digest, as bad usage", argv: ["--ztoc-digest", "sha256:12"], code: 2 },
    { title: "an argument, as bad usage", argv: ["x"], code: 2 },
  ])("refuses $title", async ({ argv, code }) => {
    await using box = await sandbox();
    await putSampleIndex(box);
    const result = await box.run(["ztoc", "list", ...argv]);
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: "" });
  });
});
