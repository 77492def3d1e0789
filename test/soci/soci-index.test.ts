import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { digestOf } from "../../src/oci/digest.ts";
import { parseImageIndex } from "../../src/oci/manifest.ts";
import { encodeImageIndex } from "../../src/soci/go-json.ts";
import {
  decodeSociIndex,
  encodeSociIndex,
  sociIndexDescriptor,
  ztocOfLayer,
  ztocReferences,
} from "../../src/soci/soci-index.ts";

const FIXTURES = join(import.meta.dir, "..", "fixtures", "soci");
const golden = readdirSync(FIXTURES)
  .filter((name) => name.startsWith("sha256-"))
  .map((name) => ({
    title: name.slice(0, 14),
    digest: name.replace("-", ":").replace(".json", ""),
    bytes: new Uint8Array(readFileSync(join(FIXTURES, name))),
  }));

test.each(golden)(
  "encodeSociIndex() gives back the Go tool's bytes: $title",
  ({ bytes, digest }) => {
    const index = decodeSociIndex(bytes);
    expect(encodeSociIndex(index)).toEqual(bytes);
    expect(sociIndexDescriptor(bytes, index.version).digest as string).toBe(digest);
  },
);

test("encodeImageIndex() gives back the Go tool's fallback tag", () => {
  const bytes = new Uint8Array(readFileSync(join(FIXTURES, "referrers-tag.json")));
  expect(encodeImageIndex(parseImageIndex(bytes))).toEqual(bytes);
});

const CONFIG = `{"mediaType":"application/vnd.amazon.soci.index.v2+json","digest":"${digestOf("{}")}","size":2}`;
const bytesOf = (text: string) => new TextEncoder().encode(text);
const manifest = (layers: string, config = CONFIG) =>
  bytesOf(`{"schemaVersion":2,"config":${config},"layers":[${layers}]}`);
const blob = (annotations: object, mediaType = "application/octet-stream") =>
  JSON.stringify({ mediaType, digest: digestOf("z"), size: 1, annotations });
const LAYER = digestOf("layer");

test("ztocReferences() reads what a zTOC's annotations say", () => {
  const index = decodeSociIndex(
    manifest(
      blob({
        "com.amazon.soci.image-layer-digest": LAYER,
        "com.amazon.soci.image-layer-mediaType": "m",
        "com.amazon.soci.span-size": "4194304",
        "com.amazon.soci.disable-xattrs": "true",
      }),
    ),
  );
  expect(ztocReferences(index)).toMatchObject([
    { layer: LAYER, layerMediaType: "m", spanSize: 4194304, disableXattrs: true },
  ]);
});

test.each([
  {
    title: "a layer digest that is none",
    annotations: { "com.amazon.soci.image-layer-digest": "x" },
  },
  { title: "no layer digest", annotations: {} },
  {
    title: "another media type",
    annotations: { "com.amazon.soci.image-layer-digest": LAYER },
    mediaType: "application/vnd.amazon.soci.prefetch.v1+json",
  },
])("ztocReferences() leaves out a blob with $title", ({ annotations, mediaType }) => {
  expect(ztocReferences(decodeSociIndex(manifest(blob(annotations, mediaType))))).toEqual([]);
});

test.each(["", "-1", "1e3", "99999999999999999", " 1"])(
  "ztocReferences() makes nothing of the span size %p",
  (text) => {
    const annotations = {
      "com.amazon.soci.image-layer-digest": LAYER,
      "com.amazon.soci.span-size": text,
    };
    const [reference] = ztocReferences(decodeSociIndex(manifest(blob(annotations))));
    expect(reference?.spanSize).toBeUndefined();
  },
);

test("ztocOfLayer() is undefined for a layer without a zTOC", () => {
  expect(ztocOfLayer(decodeSociIndex(manifest("")), LAYER)).toBeUndefined();
});

test.each([
  {
    title: "another config type",
    bytes: manifest("", CONFIG.replace("v2+json", "v3+json")),
    kind: "unsupported",
  },
  {
    title: "an ordinary image",
    bytes: manifest("", CONFIG.replace("amazon.soci.index.v2", "oci.image.config.v1")),
    kind: "unsupported",
  },
  { title: "no JSON", bytes: bytesOf("{"), kind: "data-loss" },
  { title: "a list", bytes: bytesOf("[]"), kind: "data-loss" },
  { title: "no config", bytes: bytesOf('{"schemaVersion":2,"layers":[]}'), kind: "data-loss" },
  {
    title: "a layer without digest",
    bytes: manifest('{"mediaType":"m","size":1}'),
    kind: "data-loss",
  },
  {
    title: "a size of text",
    bytes: manifest(`{"mediaType":"m","digest":"${LAYER}","size":"1"}`),
    kind: "data-loss",
  },
  {
    title: "a negative size",
    bytes: manifest(`{"mediaType":"m","digest":"${LAYER}","size":-1}`),
    kind: "data-loss",
  },
  {
    title: "annotations of numbers",
    bytes: manifest(`{"mediaType":"m","digest":"${LAYER}","size":1,"annotations":{"a":1}}`),
    kind: "data-loss",
  },
  {
    title: "more than 4 MiB",
    bytes: bytesOf(`{"schemaVersion":2}${" ".repeat(4 * 1024 * 1024)}`),
    kind: "data-loss",
  },
  { title: "deep nesting", bytes: bytesOf(`${"[".repeat(100_000)}`), kind: "data-loss" },
  {
    title: "Docker's manifest type",
    bytes: bytesOf(
      `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":${CONFIG},"layers":[]}`,
    ),
    kind: "data-loss",
  },
])("decodeSociIndex() refuses $title", ({ bytes, kind }) => {
  expect(() => decodeSociIndex(bytes)).toThrow(expect.objectContaining({ kind }));
});

test("decodeSociIndex() refuses every truncation", () => {
  const bytes = golden[0]?.bytes ?? new Uint8Array();
  for (let length = 0; length < bytes.length; length++) {
    expect(() => decodeSociIndex(bytes.subarray(0, length))).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
  }
});

test("decodeSociIndex() throws a SociError or gives an index for any damage", () => {
  const bytes = golden[0]?.bytes ?? new Uint8Array();
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
      const damaged = bytes.with(at, value);
      try {
        encodeSociIndex(decodeSociIndex(damaged));
      } catch (error) {
        expect(error).toHaveProperty("kind");
      }
    }),
  );
});
