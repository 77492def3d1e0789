import { describe, expect, test } from "bun:test";
import { digestOf, hexOf } from "../../src/oci/digest.ts";
import { bytesOf, encodeZtoc } from "../../src/ztoc/encode-ztoc.ts";
import { checkSpans } from "../../src/ztoc/check-spans.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import { tableOf } from "./files.ts";
import { goldenLayer, type GoldenRow, goldenRows, tocOf, ztocOf } from "./golden.ts";

const ROWS = goldenRows();
const BUILT = ROWS.filter(({ ztocDigest }) => ztocDigest !== undefined);
/** Without inflate with checkpoints, gzip layers of one span only. */
const ENCODED = BUILT.filter(
  ({ compression, maxSpanId }) => compression !== "gzip" || maxSpanId === 0,
);
const REFUSED = ROWS.filter(({ error = "" }) => /tar header|input tar entry/.test(error));
const LOADED = ENCODED.filter(({ loadError }) => loadError === undefined);
const LAYERS = [...new Map(ROWS.map((row) => [row.file, row])).values()].filter(
  ({ error = "" }) => !error.includes("unsupported compression"),
);

function kindOf(run: () => unknown): string {
  try {
    run();
    return "no error";
  } catch (error) {
    return (error as { kind?: string }).kind ?? String(error);
  }
}

describe("golden layers", () => {
  test("are the bytes that the rows speak of", () => {
    const wrong = LAYERS.filter(
      ({ file, layerSha256 }) => hexOf(digestOf(goldenLayer(file))) !== layerSha256,
    );
    expect([LAYERS.length > 200, wrong]).toEqual([true, []]);
  });

  test.each(BUILT.filter((row) => !ENCODED.includes(row)))(
    "TOC of $title has the golden number of files and size",
    (row) => {
      const { files, endOffset } = tocOf(row);
      expect([files.length, endOffset]).toEqual([
        row.nFiles as number,
        row.uncompressedSize as number,
      ]);
    },
  );

  test.each(ENCODED)("encodeZtoc() of $title gives the golden bytes", (row) => {
    expect(digestOf(ztocOf(row))).toBe(row.ztocDigest as string as ReturnType<typeof digestOf>);
  });

  test.each(REFUSED)("$title is refused", (row) => {
    const kind = row.error?.includes("unsupported") ? "unsupported" : "data-loss";
    expect(kindOf(() => tocOf(row))).toBe(kind);
  });

  test.each(ENCODED.filter(({ loadError }) => loadError !== undefined))(
    "decodeZtoc() refuses $title",
    (row) => {
      const ztoc = ztocOf(row);
      expect(kindOf(() => decodeZtoc(ztoc))).toBe("data-loss");
    },
  );

  test.each(LOADED)(
    "decodeZtoc() takes $title, and what it gives encodes to the same bytes",
    (row) => {
      const bytes = ztocOf(row);
      const { zinfo, files, ...ztoc } = decodeZtoc(bytes);
      const checkpoints = { size: zinfo.bytes.length, chunks: () => [zinfo.bytes] };
      const again = bytesOf(encodeZtoc({ ...ztoc, files: tableOf(files), checkpoints }));
      expect(Buffer.compare(again, bytes)).toBe(0);
    },
  );

  test.each(LOADED)(
    "checkSpans() judges $title as the reference's span manager",
    (row: GoldenRow) => {
      const reason = checkSpans(decodeZtoc(ztocOf(row)));
      expect(reason !== undefined).toBe(row.spanManagerError !== undefined);
    },
  );
});
