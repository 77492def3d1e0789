import { describe, expect, test } from "bun:test";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { isKind } from "../../src/errors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { bytesOf } from "../../src/ztoc/encode-ztoc.ts";
import { build } from "./build.ts";
import { goldenLayer, type GoldenRow, goldenRows } from "./golden.ts";

// Left out: rows about the spelling of the reference's compression argument, which we do not have,
// and a plain tar with spans of -1 bytes, of which the reference writes a zTOC without any span.
const ROWS = goldenRows().filter(
  ({ compression, spanSize }) =>
    ["gzip", "uncompressed", "unknown"].includes(compression) &&
    (compression === "gzip" || spanSize >= 0),
);
const BUILT = ROWS.filter(({ error }) => error === undefined);
const REFUSED = ROWS.filter(({ error }) => error !== undefined);

// Made once: an engine begins anew with each layer.
const ENGINES = [new WasmEngine(), new PakoEngine()];

describe.each(ENGINES.map((engine) => ({ engine, title: engine.name })))(
  "ZtocBuilder with $title",
  ({ engine }) => {
    const buildRow = ({ file, compression, spanSize }: GoldenRow) =>
      build(goldenLayer(file), {
        engine,
        spanSize,
        algorithm: compression === "gzip" ? "gzip" : "uncompressed",
        pieces: [10_000, 1, 333],
      });

    test.each(BUILT)("writes the reference's bytes of $title", (row) => {
      const built = buildRow(row);
      expect({
        digest: digestOf(bytesOf(built.encoded)) as string,
        size: built.encoded.size,
        maxSpanId: built.spanCount - 1,
        files: built.fileCount,
        compressedSize: built.compressedSize,
        uncompressedSize: built.uncompressedSize,
      }).toEqual({
        digest: row.ztocDigest ?? "",
        size: row.ztocSize ?? 0,
        maxSpanId: row.maxSpanId ?? 0,
        files: row.nFiles ?? 0,
        compressedSize: row.compressedSize ?? 0,
        uncompressedSize: row.uncompressedSize ?? 0,
      });
    });

    test("refuses every layer that the reference refuses", () => {
      const accepted = REFUSED.filter((row) => {
        try {
          buildRow(row);
          return true;
        } catch (error) {
          return !isKind(error, "data-loss", "unsupported", "invalid-argument");
        }
      });
      expect([REFUSED.length > 100, accepted]).toEqual([true, []]);
    });

    test("says of exactly those zTOCs that no reader can use them which the reference does not load or reads wrongly", () => {
      const wrong = BUILT.filter((row) => {
        const { unusable } = buildRow(row);
        const isBad =
          row.loadError !== undefined ||
          row.spanManagerError !== undefined ||
          // The reference takes sparse files and then gives wrong bytes; version 2.0 is none.
          /sparse-posix|sparse-pax-(?!20)/.test(row.file);
        return (unusable !== undefined) !== isBad;
      });
      expect(wrong.map(({ title }) => title)).toEqual([]);
    });
  },
);
