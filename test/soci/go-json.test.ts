import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { parseImageManifest } from "../../src/oci/manifest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { encodeImageIndex, encodeManifest } from "../../src/soci/go-json.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const config: Descriptor = { mediaType: "c", digest: digestOf("c"), size: 1 };

test("encodeManifest() writes fields in Go's order, whatever the order they came in", () => {
  const layer: Descriptor = {
    artifactType: "a",
    platform: {
      variant: "v8",
      "os.features": ["f"],
      "os.version": "1",
      os: "linux",
      architecture: "arm64",
    },
    data: "e30=",
    annotations: { b: "2", a: "1" },
    urls: ["https://example.com/<x>"],
    size: 2,
    digest: digestOf("l"),
    mediaType: "l",
  };
  const bytes = encodeManifest({
    annotations: { z: "1" },
    subject: config,
    layers: [layer],
    config,
    artifactType: "t",
    mediaType: OCI_MANIFEST,
  });
  const c = `{"mediaType":"c","digest":"${config.digest}","size":1}`;
  expect(text(bytes)).toBe(
    `{"schemaVersion":2,"mediaType":"${OCI_MANIFEST}","artifactType":"t","config":${c},"layers":[{"mediaType":"l","digest":"${layer.digest}","size":2,"urls":["https://example.com/\\u003cx\\u003e"],"annotations":{"a":"1","b":"2"},"data":"e30=","platform":{"architecture":"arm64","os":"linux","os.version":"1","os.features":["f"],"variant":"v8"},"artifactType":"a"}],"subject":${c},"annotations":{"z":"1"}}`,
  );
});

test("encodeManifest() leaves out what Go's omitempty leaves out, but not an empty list of layers", () => {
  const empty = { ...config, urls: [], annotations: {}, data: "", artifactType: "" };
  const bytes = encodeManifest({
    mediaType: "",
    artifactType: "",
    config: empty,
    layers: [],
    annotations: {},
  });
  expect(text(bytes)).toBe(
    `{"schemaVersion":2,"config":{"mediaType":"c","digest":"${config.digest}","size":1},"layers":[]}`,
  );
});

test("encodeManifest() sorts the keys of maps by their UTF-8, not by their UTF-16", () => {
  const annotations = { "\u{1f600}": "1", "\uff01": "2", Z: "3", a: "4" };
  const bytes = encodeManifest({ mediaType: "", config, layers: [], annotations });
  expect(Object.keys(JSON.parse(text(bytes)).annotations)).toEqual([
    "Z",
    "a",
    "\uff01",
    "\u{1f600}",
  ]);
});

test("encodeManifest() writes keys that look like numbers in their place", () => {
  const bytes = encodeManifest({
    mediaType: "",
    config,
    layers: [],
    annotations: { "10": "a", "9": "b", "": "c" },
  });
  expect(text(bytes)).toEndWith(`"annotations":{"":"c","10":"a","9":"b"}}`);
});

test("encodeImageIndex() writes fields in Go's order", () => {
  const bytes = encodeImageIndex({ mediaType: OCI_INDEX, manifests: [config] });
  expect(text(bytes)).toBe(
    `{"schemaVersion":2,"mediaType":"${OCI_INDEX}","manifests":[{"mediaType":"c","digest":"${config.digest}","size":1}]}`,
  );
});

test("encodeManifest() is read back as it was by any JSON parser", () => {
  const strings = fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), {
    noNullPrototype: true,
  });
  fc.assert(
    fc.property(strings, (annotations) => {
      const bytes = encodeManifest({
        mediaType: OCI_MANIFEST,
        config,
        layers: [config],
        annotations,
      });
      const parsed = parseImageManifest(bytes);
      expect(parsed.annotations ?? {}).toEqual(annotations);
      expect(encodeManifest(parsed)).toEqual(bytes);
    }),
  );
});
