import { describe, expect, test } from "bun:test";
import { encodeZtoc } from "../../../src/ztoc/encode-ztoc.ts";
import { FileTable } from "../../../src/ztoc/file-table.ts";
import { encodeTarZinfo } from "../../../src/ztoc/tar-zinfo.ts";
import { putSampleIndex } from "./index-sandbox.ts";
import { createZtoc, sampleLayer, sandbox } from "./ztoc-sandbox.ts";

const layer = await sampleLayer([
  { name: "d/", type: "directory" },
  { name: "d/<f>", content: "x".repeat(600) },
]);

const WANT = `{
  "version": "0.9",
  "build_tool": "AWS SOCI CLI v0.2",
  "size": SIZE,
  "span_size": 4096,
  "num_spans": 1,
  "num_files": 2,
  "num_multi_span_files": 0,
  "files": [
    {
      "filename": "d/",
      "offset": 512,
      "size": 0,
      "type": "dir",
      "start_span": 0,
      "end_span": 0
    },
    {
      "filename": "d/\\u003cf\\u003e",
      "offset": 1024,
      "size": 600,
      "type": "reg",
      "start_span": 0,
      "end_span": 0
    }
  ]
}
`;

describe("ztoc info", () => {
  test("prints a zTOC in a file as the reference does", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes);
    const { code, stdout, stderr } = await box.run(["ztoc", "info", "ztoc"]);
    const { size } = Bun.file(box.join("ztoc"));
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: WANT.replace("SIZE", String(size)),
      stderr: "",
    });
  });

  test("goes through the pager on a terminal, fit for it", async () => {
    await using box = await sandbox();
    const named = await sampleLayer([{ name: "c1\u009b2J", content: "x" }]);
    await createZtoc(box, named.bytes);
    const terminal = { stdoutIsTty: true, env: { PAGER: "cat > paged" } };
    expect(await box.run(["ztoc", "info", "ztoc"], terminal)).toMatchObject({
      code: 0,
      stdout: "",
    });
    const paged = await Bun.file(box.join("paged")).text();
    expect(paged).toContain('"filename": "c1\\u009b2J"');
    const plain = await box.run(["ztoc", "info", "--no-pager", "ztoc"]);
    expect(JSON.parse(paged)).toEqual(JSON.parse(plain.stdout));
  });

  test("prints a stored zTOC by its digest", async () => {
    await using box = await sandbox();
    const digest = await createZtoc(box, layer.bytes, []);
    const { stdout } = await box.run(["ztoc", "info", digest]);
    expect(JSON.parse(stdout)).toMatchObject({ span_size: 4_194_304, num_files: 2 });
  });

  test("points to index info for the digest of a SOCI index", async () => {
    await using box = await sandbox();
    const { digest } = await putSampleIndex(box);
    const { code, stdout, stderr } = await box.run(["ztoc", "info", digest]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`sociable index info ${digest}`);
  });

  test.each([
    { title: "a digest that is not stored", ztoc: `sha256:${"0".repeat(64)}`, code: 1 },
    { title: "a file that is not there", ztoc: "zzz", code: 1 },
    { title: "half a digest, as bad usage", ztoc: "sha256:12", code: 2 },
    { title: "a directory", ztoc: ".", code: 1 },
    { title: "a file that is no zTOC", ztoc: "layer", code: 1 },
  ])("refuses $title", async ({ ztoc, code }) => {
    await using box = await sandbox();
    await box.write("layer", layer.bytes);
    const result = await box.run(["ztoc", "info", ztoc]);
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: "" });
    expect(result.stderr).not.toContain("Internal error");
  });

  test("refuses a zTOC of a plain tar that says its spans have no bytes", async () => {
    await using box = await sandbox();
    const checkpoints = encodeTarZinfo({ spanSize: 0, size: 1024 });
    const encoded = encodeZtoc({
      compressedArchiveSize: 1024,
      uncompressedArchiveSize: 1024,
      files: new FileTable(),
      compressionAlgorithm: "uncompressed",
      maxSpanId: 0,
      spanDigests: [],
      checkpoints: { size: checkpoints.length, chunks: () => [checkpoints] },
    });
    await box.write("ztoc", Buffer.concat([...encoded.chunks()]));
    const { code, stdout, stderr } = await box.run(["ztoc", "info", "ztoc"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("span size is 0");
  });
});
