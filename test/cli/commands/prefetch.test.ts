import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { prefetchInfoCommand } from "../../../src/cli/commands/prefetch-info.ts";
import { prefetchListCommand } from "../../../src/cli/commands/prefetch-list.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { encodePrefetch } from "../../../src/soci/encode-prefetch.ts";
import { sandbox } from "./ztoc-sandbox.ts";
import { withCommands } from "./with-commands.ts";

const registry = withCommands([prefetchListCommand, prefetchInfoCommand]);
const LAYER = digestOf("layer");
const BYTES = encodePrefetch([
  { startSpan: 0, endSpan: 36 },
  { startSpan: 83, endSpan: 83 },
]);
const DIGEST = digestOf(BYTES);

async function withArtifact(bytes: Uint8Array = BYTES) {
  const box = await sandbox();
  await using store = await box.openStore();
  await store.putPrefetch(bytes, { layer: LAYER });
  return {
    box,
    path: store.content.blobPath(digestOf(bytes)),
    run: (...argv: readonly string[]) => box.run(["prefetch", ...argv], { registry }),
    [Symbol.asyncDispose]: () => box[Symbol.asyncDispose](),
  };
}

describe("sociable prefetch list", () => {
  test("prints a table as the Go tool does", async () => {
    await using at = await withArtifact();
    const { code, stdout } = await at.run("list");
    expect(code).toBe(0);
    const pad = " ".repeat(65);
    expect(stdout.replace(/\d+s ago/, "0s ago")).toBe(
      `DIGEST${pad}    LAYER DIGEST${pad.slice(6)}    SPANS    CREATED    \n${DIGEST}    ${LAYER}    38       0s ago     \n`,
    );
  });

  test("prints JSON with the Go tool's names", async () => {
    await using at = await withArtifact();
    expect(JSON.parse((await at.run("list", "--json")).stdout)).toMatchObject([
      { Digest: DIGEST, LayerDigest: LAYER, TotalSpans: 38 },
    ]);
  });

  test("prints an empty list where there are none", async () => {
    await using box = await sandbox();
    const { stdout } = await box.run(["prefetch", "list", "--json"], { registry });
    expect(JSON.parse(stdout)).toEqual([]);
  });

  test("lists an artifact that cannot be read, without its spans", async () => {
    await using at = await withArtifact();
    await writeFile(at.path, "damaged", { mode: 0o644 });
    expect((await at.run("list")).stdout).toContain(" N/A ");
  });

  test("lists one artifact of two layers twice", async () => {
    await using at = await withArtifact();
    await using store = await at.box.openStore();
    await store.putPrefetch(BYTES, { layer: digestOf("other layer") });
    expect(JSON.parse((await at.run("list", "--json")).stdout)).toHaveLength(2);
  });
});

describe("sociable prefetch info", () => {
  test("prints what an artifact says as the Go tool does", async () => {
    await using at = await withArtifact();
    const { code, stdout } = await at.run("info", "--json", DIGEST);
    expect(code).toBe(0);
    expect(stdout.replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/, "DATETIME"))
      .toBe(`Digest:        ${DIGEST}
Version:       1.0
Span Ranges:   2
Layer Digest:  ${LAYER}
Size:          99 bytes
Created:       DATETIME

Prefetch Spans:
  [0] StartSpan: 0, EndSpan: 36 (covers 37 spans)
  [1] StartSpan: 83, EndSpan: 83 (covers 1 spans)

Total spans to prefetch: 38

Raw JSON:
{
  "version": "1.0",
  "prefetch_spans": [
    {
      "start_span": 0,
      "end_span": 36
    },
    {
      "start_span": 83,
      "end_span": 83
    }
  ]
}
`);
  });

  test("prints priorities where there are some", async () => {
    const text = '{"version":"1.0","prefetch_spans":[{"start_span":1,"end_span":2,"priority":7}]}';
    await using at = await withArtifact(Buffer.from(text));
    const { stdout } = await at.run("info", digestOf(text));
    expect(stdout).toContain("(covers 2 spans)\n      Priority: 7\n");
  });

  test.each([
    { title: "another version", text: '{"version":"2.0","prefetch_spans":[]}' },
    { title: "no spans", text: '{"version":"1.0","prefetch_spans":[]}' },
    { title: "no JSON", text: "[1" },
  ])("exits 1 for an artifact of $title", async ({ text }) => {
    await using at = await withArtifact(Buffer.from(text));
    expect(await at.run("info", digestOf(text))).toMatchObject({ code: 1, stdout: "" });
  });

  test("exits 1 for a digest that is not there or something else, 2 for no digest", async () => {
    await using at = await withArtifact();
    await using store = await at.box.openStore();
    const ztoc = await store.putZtoc([Buffer.from("z")], { layer: LAYER, spanSize: 1 });
    expect(await at.run("info", digestOf("none"))).toMatchObject({ code: 1 });
    const { code, stderr } = await at.run("info", ztoc.digest);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("not a prefetch artifact (type: soci_layer)"),
    });
    expect(await at.run("info", "zzz")).toMatchObject({ code: 2 });
  });
});
