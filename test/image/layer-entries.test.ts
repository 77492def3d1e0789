import { expect, test } from "bun:test";
import { layerEntriesOf } from "../../src/image/layer-entries.ts";
import { encodeEntries } from "../../src/tree/encode-entries.ts";
import { buildLayer } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";

const { bytes } = await buildLayer({ entries: [{ name: "a", content: "1" }] });
const ztoc = await ztocOf(bytes);

test.each([
  { title: "a zTOC", file: ztoc.bytes },
  { title: "a table of entries", file: encodeEntries(ztoc.ztoc.files) },
])("layerEntriesOf() reads the rows of $title", ({ file }) => {
  expect(layerEntriesOf(file).map(({ name }) => Buffer.from(name).toString())).toEqual(["a"]);
});

test("layerEntriesOf() refuses anything else", () => {
  expect(() => layerEntriesOf(new Uint8Array(100))).toThrow("Cannot decode zTOC");
  expect(() => layerEntriesOf(new Uint8Array(0))).toThrow("Cannot decode zTOC");
});
