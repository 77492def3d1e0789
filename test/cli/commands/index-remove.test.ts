import { describe, expect, test } from "bun:test";
import { putSampleIndex } from "./index-sandbox.ts";
import { createZtoc, sampleLayer, type Sandbox, sandbox } from "./ztoc-sandbox.ts";

const ABSENT = `sha256:${"0".repeat(64)}`;

async function indexesLeft(box: Sandbox): Promise<readonly string[]> {
  await using store = await box.openStore();
  return store.artifacts.listIndexes().map(({ digest }) => digest);
}

describe("index remove", () => {
  test("removes indexes by their digests, bytes and entry in the layout too", async () => {
    await using box = await sandbox();
    const { digest: first } = await putSampleIndex(box, { manifest: "1" });
    const { digest: second } = await putSampleIndex(box, { manifest: "22" });
    const { digest: kept } = await putSampleIndex(box, { manifest: "333" });
    const { code, stdout, stderr } = await box.run(["index", "rm", first, second]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await indexesLeft(box)).toEqual([kept]);
    await using store = await box.openStore();
    expect(await store.content.hasBlob(first)).toBe(false);
    expect((await store.content.readIndex()).manifests.map(({ digest }) => digest)).toEqual([kept]);
  });

  test("keeps the zTOCs", async () => {
    await using box = await sandbox();
    const { digest } = await putSampleIndex(box);
    await box.run(["index", "remove", digest]);
    await using store = await box.openStore();
    expect(store.artifacts.listZtocs()).toHaveLength(1);
  });

  test("removes all indexes of an image with --ref, and no others", async () => {
    await using box = await sandbox();
    await putSampleIndex(box, { manifest: "1", platform: "linux/amd64" });
    await putSampleIndex(box, { manifest: "22", platform: "linux/arm64" });
    const { digest } = await putSampleIndex(box, { manifest: "333", imageName: "r.test/b:1" });
    const { code } = await box.run(["index", "remove", "--ref", "registry.test/app:v1"]);
    expect([code, await indexesLeft(box)]).toEqual([0, [digest]]);
  });

  test("does nothing without arguments, as scripts over an empty list want it", async () => {
    await using box = await sandbox();
    const { digest } = await putSampleIndex(box);
    const { code, stdout } = await box.run(["index", "rm"]);
    expect([code, stdout, await indexesLeft(box)]).toEqual([0, "", [digest]]);
  });

  test("removes none when one of the digests is no index", async () => {
    await using box = await sandbox();
    const { digest } = await putSampleIndex(box);
    const ztoc = await createZtoc(box, (await sampleLayer()).bytes, []);
    const codes = [
      (await box.run(["index", "rm", digest, ABSENT])).code,
      (await box.run(["index", "rm", digest, ztoc])).code,
    ];
    expect([codes, await indexesLeft(box)]).toEqual([[1, 1], [digest]]);
  });

  test("refuses an index that was removed before", async () => {
    await using box = await sandbox();
    const { digest } = await putSampleIndex(box);
    await box.run(["index", "rm", digest]);
    expect((await box.run(["index", "rm", digest])).code).toBe(1);
  });

  test.each([
    { title: "an image without an index", argv: ["--ref", "registry.test/no"], code: 1 },
    { title: "digests and --ref together, as bad usage", argv: ["--ref", "x", ABSENT], code: 2 },
    { title: "what is no digest, as bad usage", argv: ["zzz"], code: 2 },
  ])("refuses $title", async ({ argv, code }) => {
    await using box = await sandbox();
    const result = await box.run(["index", "rm", ...argv]);
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: "" });
  });
});
