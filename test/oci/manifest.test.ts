import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SociError } from "../../src/errors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import {
  artifactTypeOf,
  parseImageIndex,
  parseImageManifest,
  parseManifest,
} from "../../src/oci/manifest.ts";
import {
  DOCKER_INDEX,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER_GZIP,
  OCI_MANIFEST,
} from "../../src/oci/media-types.ts";

const CONFIG = { mediaType: OCI_CONFIG, digest: digestOf("config"), size: 6 };
const LAYER = { mediaType: OCI_LAYER_GZIP, digest: digestOf("layer"), size: 5 };
const MANIFEST = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: CONFIG, layers: [LAYER] };
const INDEX = {
  schemaVersion: 2,
  mediaType: OCI_INDEX,
  manifests: [
    {
      mediaType: OCI_MANIFEST,
      digest: digestOf("m"),
      size: 1,
      platform: { os: "linux", architecture: "amd64" },
    },
  ],
};

function bytesOf(value: unknown): Uint8Array {
  return new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
}

describe("parseManifest()", () => {
  test("reads a manifest with every field", () => {
    const subject = {
      ...LAYER,
      annotations: { a: "b" },
      urls: ["https://x"],
      data: "eA==",
      artifactType: "t",
    };
    const full = { ...MANIFEST, artifactType: "application/x", subject, annotations: { k: "v" } };
    const { schemaVersion: _version, ...rest } = full;
    expect(parseManifest(bytesOf(full))).toEqual({ kind: "manifest", ...rest });
  });

  test("reads an image index with platforms", () => {
    const { schemaVersion: _version, ...rest } = INDEX;
    expect(parseManifest(bytesOf(INDEX))).toEqual({ kind: "index", ...rest });
  });

  test.each([
    {
      title: "a manifest",
      document: { ...MANIFEST, mediaType: undefined },
      told: undefined,
      want: OCI_MANIFEST,
    },
    {
      title: "an index",
      document: { ...INDEX, mediaType: undefined },
      told: undefined,
      want: OCI_INDEX,
    },
    {
      title: "a Docker manifest that the sender names",
      document: { ...MANIFEST, mediaType: undefined },
      told: DOCKER_MANIFEST,
      want: DOCKER_MANIFEST,
    },
    {
      title: "a document that the sender calls JSON",
      document: { ...INDEX, mediaType: undefined },
      told: "application/json",
      want: OCI_INDEX,
    },
    {
      title: "a Docker list",
      document: { ...INDEX, mediaType: DOCKER_INDEX },
      told: undefined,
      want: DOCKER_INDEX,
    },
  ])("finds the media type of $title", ({ document, told, want }) => {
    const parsed = parseManifest(bytesOf(document), told === undefined ? {} : { mediaType: told });
    expect(parsed.mediaType).toBe(want);
  });

  test("takes null for an absent field, as Go does", () => {
    expect(
      parseManifest(bytesOf({ ...MANIFEST, layers: null, subject: null, annotations: null })),
    ).toMatchObject({ layers: [] });
  });

  test.each([
    { title: "no JSON", document: "{" },
    { title: "an array", document: "[]" },
    { title: "a string", document: '"x"' },
    { title: "null", document: "null" },
    { title: "a byte order mark", document: `\ufeff${JSON.stringify(MANIFEST)}` },
    { title: "no schemaVersion", document: { ...MANIFEST, schemaVersion: undefined } },
    { title: "a schemaVersion that is text", document: { ...MANIFEST, schemaVersion: "2" } },
    { title: "no config", document: { ...MANIFEST, config: undefined } },
    { title: "a config that is text", document: { ...MANIFEST, config: "x" } },
    { title: "layers that are an object", document: { ...MANIFEST, layers: {} } },
    { title: "a layer that is null", document: { ...MANIFEST, layers: [null] } },
    { title: "a negative size", document: { ...MANIFEST, layers: [{ ...LAYER, size: -1 }] } },
    { title: "a broken size", document: { ...MANIFEST, layers: [{ ...LAYER, size: 1.5 }] } },
    { title: "a size past 2^53", document: { ...MANIFEST, layers: [{ ...LAYER, size: 1e300 }] } },
    { title: "a size that is text", document: { ...MANIFEST, layers: [{ ...LAYER, size: "5" }] } },
    { title: "no digest", document: { ...MANIFEST, layers: [{ ...LAYER, digest: undefined }] } },
    {
      title: "a digest with a path",
      document: { ...MANIFEST, layers: [{ ...LAYER, digest: "sha256:../../x" }] },
    },
    {
      title: "a digest in capitals",
      document: { ...MANIFEST, layers: [{ ...LAYER, digest: LAYER.digest.toUpperCase() }] },
    },
    { title: "annotations that are numbers", document: { ...MANIFEST, annotations: { a: 1 } } },
    { title: "fields of an index too", document: { ...MANIFEST, manifests: [] } },
    { title: "an index with a config", document: { ...INDEX, config: CONFIG } },
  ])("refuses $title as data-loss", ({ document }) => {
    expect(() => parseManifest(bytesOf(document))).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
  });

  test.each([
    { title: "another schemaVersion", document: { ...MANIFEST, schemaVersion: 3 } },
    { title: "Docker's schema 1", document: { schemaVersion: 1, fsLayers: [], history: [] } },
    { title: "another media type", document: { ...MANIFEST, mediaType: "text/html" } },
    {
      title: "a digest of another algorithm",
      document: { ...MANIFEST, layers: [{ ...LAYER, digest: `sha512:${"a".repeat(128)}` }] },
    },
  ])("says that $title is unsupported", ({ document }) => {
    expect(() => parseManifest(bytesOf(document))).toThrow(
      expect.objectContaining({ kind: "unsupported" }),
    );
  });

  test("refuses an index that was announced as a manifest", () => {
    expect(() => parseManifest(bytesOf(INDEX), { mediaType: OCI_MANIFEST })).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
  });

  test("refuses bytes that are not UTF-8", () => {
    const bytes = Buffer.concat([
      bytesOf('{"mediaType":"'),
      Buffer.from([0xff, 0xfe]),
      bytesOf('"}'),
    ]);
    expect(() => parseManifest(bytes)).toThrow(expect.objectContaining({ kind: "data-loss" }));
  });

  test("refuses a document over the size limit without parsing it", () => {
    const bytes = new Uint8Array(4 * 1024 * 1024 + 1);
    expect(() => parseManifest(bytes)).toThrow(/4194305 bytes/);
  });

  test("refuses deep nesting", () => {
    const deep = `{"schemaVersion":2,"config":${"[".repeat(500_000)}`;
    expect(() => parseManifest(bytesOf(deep))).toThrow(/nesting is over 64 deep/);
  });

  test("does not count brackets in text as nesting", () => {
    const annotations = { a: "[{".repeat(200), b: '\\"[[[['.repeat(50) };
    expect(parseManifest(bytesOf({ ...MANIFEST, annotations }))).toMatchObject({ annotations });
  });

  test("refuses more layers than the limit", () => {
    const layers = new Array(11).fill(LAYER);
    expect(() => parseManifest(bytesOf({ ...MANIFEST, layers }), { maxItems: 10 })).toThrow(
      /11 items/,
    );
  });

  test("keeps an annotation called __proto__ an annotation", () => {
    const text = JSON.stringify(MANIFEST).replace("}]}", '}],"annotations":{"__proto__":"x"}}');
    const { annotations } = parseManifest(bytesOf(text));
    expect(Object.keys(annotations ?? {})).toEqual(["__proto__"]);
  });

  test("throws nothing but SociError, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expectOnlySociError(() => parseManifest(bytes));
      }),
    );
  });

  test("throws nothing but SociError, whatever the JSON", () => {
    const keys = fc.constantFrom(
      "schemaVersion",
      "mediaType",
      "config",
      "layers",
      "manifests",
      "digest",
      "size",
      "subject",
      "annotations",
      "platform",
      "urls",
      "data",
      "artifactType",
    );
    const { tree } = fc.letrec((tie) => ({
      leaf: fc.oneof(
        fc.constant(2),
        fc.constant(LAYER.digest),
        fc.constant(OCI_MANIFEST),
        fc.constant(null),
        fc.string(),
        fc.double(),
      ),
      tree: fc.oneof(
        { depthSize: "medium" },
        tie("leaf"),
        fc.dictionary(keys, tie("tree")),
        fc.array(tie("tree"), { maxLength: 3 }),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        expectOnlySociError(() => parseManifest(bytesOf(JSON.stringify(value) ?? "")));
      }),
      { numRuns: 1000 },
    );
  });

  test("refuses every truncation", () => {
    const whole = bytesOf(MANIFEST);
    for (let length = 0; length < whole.length; length++) {
      expect(() => parseManifest(whole.subarray(0, length))).toThrow(SociError);
    }
  });
});

describe("parseImageManifest()", () => {
  test("refuses an image index", () => {
    expect(() => parseImageManifest(bytesOf(INDEX))).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
  });
});

describe("parseImageIndex()", () => {
  test("refuses a manifest", () => {
    expect(() => parseImageIndex(bytesOf(MANIFEST))).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
  });
});

describe("artifactTypeOf()", () => {
  test("is the config's media type when there is no artifactType", () => {
    expect(artifactTypeOf(parseManifest(bytesOf(MANIFEST)))).toBe(OCI_CONFIG);
  });

  test("is artifactType when there is one", () => {
    expect(artifactTypeOf(parseManifest(bytesOf({ ...MANIFEST, artifactType: "a/b" })))).toBe(
      "a/b",
    );
  });
});

function expectOnlySociError(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(SociError);
  }
}
