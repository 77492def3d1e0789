import { describe, expect, test } from "bun:test";
import { coverage, mapLayer } from "../../../src/cli/commands/layer-map.ts";
import { escapeHtml, layerMapPage } from "../../../src/cli/commands/layer-map-html.ts";
import {
  formatMapPicture,
  localRanges,
  straddledBorders,
} from "../../../src/cli/commands/layer-map-text.ts";
import { NO_PAINT } from "../../../src/cli/colors.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { buildLayer } from "../../support/image-builder.ts";
import { ztocOf } from "../../support/indexed-layer.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";

const HOSTILE = `x"><script>alert('1')</script>\u001b[2J`;
const layer = await buildLayer({
  compression: "none",
  entries: [
    { name: "bin/", type: "directory" },
    { name: "bin/big", content: sampleBytes(100_000) },
    { name: "etc/a", content: "a" },
    { name: "etc/b", content: sampleBytes(3000) },
    { name: "bin/last", content: "end" },
    { name: HOSTILE, content: sampleBytes(70_000, 2) },
    { name: "empty" },
  ],
});
const SPAN = 16_384;
const { bytes, ztoc } = await ztocOf(layer.bytes, { algorithm: "uncompressed", spanSize: SPAN });

function mapOf(local?: (span: number) => boolean) {
  return mapLayer(ztoc, {
    digest: digestOf(bytes),
    size: bytes.length,
    layer: layer.descriptor.digest,
    cached: local === undefined ? undefined : { layer: undefined, has: local },
    maxDirectories: 10,
  });
}

describe("mapLayer()", () => {
  test("says what lies in each span", () => {
    const { spans, fileCount } = mapOf();
    expect(fileCount).toBe(7);
    expect(spans).toHaveLength(Math.ceil(layer.tar.length / SPAN));
    expect(spans[0]).toEqual({
      id: 0,
      compressedStart: 0,
      compressedEnd: SPAN,
      uncompressedStart: 0,
      uncompressedEnd: SPAN,
      files: 1,
      straddlers: 1,
      isLocal: undefined,
    });
    // The end of the first large file, the small ones, and the start of the second.
    expect(spans[6]).toMatchObject({ files: 5, straddlers: 2 });
  });

  test("names the files that lie in more than one span, fit for display", () => {
    const found = mapOf().straddlers.map(({ name, size, firstSpan, lastSpan }) => [
      name,
      size,
      firstSpan,
      lastSpan,
    ]);
    expect(found).toEqual([
      ["/bin/big", 100_000, 0, 6],
      [`/x"><script>alert('1')</script>\\x1b[2J`, 70_000, 6, 10],
    ]);
  });

  test("divides all files among directories, with the runs of the tar they take", () => {
    const { directories } = mapOf();
    expect(directories.map(({ name, files, bytes: size }) => [name, files, size])).toEqual([
      ["/bin", 2, 100_003],
      ["/etc", 2, 3001],
      [expect.stringContaining("/x"), 1, 70_000],
      ["/*", 1, 0],
    ]);
    const [bin] = directories;
    const [big] = ztoc.files.filter(({ type }) => type === "reg");
    expect(bin?.ranges).toEqual([
      big?.uncompressedOffset ?? -1,
      (big?.uncompressedOffset ?? -1) + 100_000,
      ...(bin?.ranges.slice(2) ?? []),
    ]);
    expect(bin?.ranges).toHaveLength(4);
    expect(bin?.spans).toBe(7);
  });

  test("counts the spans that are local", () => {
    expect(mapOf((span) => span < 3).localSpans).toBe(3);
    expect(mapOf().localSpans).toBeUndefined();
  });
});

describe("coverage()", () => {
  test("adds up what covers a cell, and loses nothing that covers any of it", () => {
    const covered = coverage([0, 10, 25, 50, 99, 100], { cells: 4, size: 100 });
    expect([...covered]).toEqual([0.4, 1, 0, 0.04]);
  });

  test.each([
    { title: "beyond the end", ranges: [90, 500], want: [0, 0.2] },
    { title: "before the start", ranges: [-50, 25], want: [0.5, 0] },
    { title: "an odd end", ranges: [0, 50, 60], want: [1, 0] },
  ])("keeps in its bounds: $title", ({ ranges, want }) => {
    expect([...coverage(ranges, { cells: 2, size: 100 })]).toEqual([...want]);
  });

  test("covers nothing of no tar", () => {
    expect([...coverage([0, 1], { cells: 2, size: 0 })]).toEqual([0, 0]);
  });
});

test("localRanges() joins neighbours", () => {
  const { spans } = mapOf((span) => span !== 1);
  expect(localRanges(spans).slice(0, 3)).toEqual([0, SPAN, 2 * SPAN]);
  expect(localRanges(spans)).toHaveLength(4);
});

test("straddledBorders() names the spans at whose start a file goes on", () => {
  expect(straddledBorders(mapOf())).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

describe("formatMapPicture()", () => {
  test.each([40, 80, 200])("keeps to %d columns", (width) => {
    const text = formatMapPicture(
      mapOf(() => true),
      { paint: NO_PAINT, width, unicode: true },
    );
    const widths = text.split("\n").map((line) => Bun.stringWidth(line));
    expect(Math.max(...widths)).toBeLessThanOrEqual(width);
    expect(text).not.toContain("\u001b");
  });

  test("draws spans, what is local, and a line a directory", () => {
    const text = formatMapPicture(
      mapOf((span) => span < 5),
      {
        paint: NO_PAINT,
        width: 100,
        unicode: true,
      },
    );
    expect(text).toMatch(/^spans +│┬─+┬/m);
    expect(text).toMatch(/^local +│█+[▁-▇]? +│$/m);
    expect(text).toMatch(/^straddling +│ +▲/m);
    expect(text).toMatch(/^\/bin +│▆█+▆ ▁ +│ +97\.7 KiB +2 +7$/m);
  });

  test("draws in ASCII where the locale has no more", () => {
    const text = formatMapPicture(
      mapOf(() => true),
      { paint: NO_PAINT, width: 80, unicode: false },
    );
    const picture = text.split("\n").filter((line) => line.includes("|"));
    expect(picture.join("\n")).toMatch(/^[\x20-\x7e\n]*$/);
  });
});

describe("layerMapPage()", () => {
  const page = [...layerMapPage(mapOf((span) => span % 2 === 0))].join("");

  test("needs nothing else, and runs nothing", () => {
    expect(page).toStartWith("<!doctype html>");
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
    expect(page).not.toMatch(/<script|https?:|\bsrc=|@import|url\(/i);
    expect(page.match(/href="[^#"]/g)).toBeNull();
  });

  test("escapes names wherever they stand", () => {
    expect(page).toContain("/x&#34;&#62;&#60;script&#62;alert(&#39;1&#39;)");
    expect(page).not.toContain("\u001b");
  });

  test("draws a box for each span, with a title", () => {
    expect(page.match(/class="(?:local|remote) (?:even|odd)"/g)).toHaveLength(mapOf().spans.length);
    expect(page).toContain("<title>span 0\nbytes 0 to 16384 of the blob (16.0 KiB)");
  });

  test("closes what it opens", () => {
    for (const name of ["svg", "div", "table", "tbody", "tr", "td", "details", "rect", "dl"]) {
      const opened = page.match(new RegExp(`<${name}[ >]`, "g"))?.length ?? 0;
      expect(`${name} ${page.split(`</${name}>`).length - 1}`).toBe(`${name} ${opened}`);
    }
  });
});

test("escapeHtml() leaves nothing that HTML reads", () => {
  expect(escapeHtml(`a<b>&"c'`)).toBe("a&#60;b&#62;&#38;&#34;c&#39;");
});
