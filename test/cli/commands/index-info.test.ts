import { describe, expect, test } from "bun:test";
import { putSampleIndex } from "./index-sandbox.ts";
import { createZtoc, sampleLayer, sandbox } from "./ztoc-sandbox.ts";

describe("index info", () => {
  test("prints the index's own bytes, indented by two spaces", async () => {
    await using box = await sandbox();
    const { digest } = await putSampleIndex(box);
    const { code, stdout } = await box.run(["index", "info", digest]);
    await using store = await box.openStore();
    const bytes = await store.readIndexBytes(digest);
    const parsed: unknown = JSON.parse(new TextDecoder().decode(bytes));
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${JSON.stringify(parsed, null, 2)}\n` });
  });

  test("points to ztoc info for the digest of a zTOC", async () => {
    await using box = await sandbox();
    const digest = await createZtoc(box, (await sampleLayer()).bytes, []);
    const { code, stdout, stderr } = await box.run(["index", "info", digest]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`sociable ztoc info ${digest}`);
  });

  test("refuses an index whose bytes have changed", async () => {
    await using box = await sandbox();
    const { digest } = await putSampleIndex(box);
    await box.write(`state/content/blobs/sha256/${digest.slice(7)}`, "{}");
    const { code, stdout } = await box.run(["index", "info", digest]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });

  test.each([
    { title: "a digest that is not stored", argv: [`sha256:${"0".repeat(64)}`], code: 1 },
    { title: "half a digest, as bad usage", argv: ["sha256:12"], code: 2 },
    {
      title: "a digest of another algorithm, as bad usage",
      argv: [`md5:${"0".repeat(32)}`],
      code: 2,
    },
    { title: "no digest, as bad usage", argv: [], code: 2 },
  ])("refuses $title", async ({ argv, code }) => {
    await using box = await sandbox();
    const result = await box.run(["index", "info", ...argv]);
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: "" });
  });
});
