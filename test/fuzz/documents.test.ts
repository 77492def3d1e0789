import { expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { isDigest } from "../../src/oci/digest.ts";
import { parseDockerArchive } from "../../src/oci/docker-archive-image.ts";
import { parseImageConfig } from "../../src/oci/image-config.ts";
import { parseJson } from "../../src/oci/json-document.ts";
import { addToLayoutIndex, parseLayoutIndex } from "../../src/oci/layout-index.ts";
import { type ImageIndex, type ImageManifest, parseManifest } from "../../src/oci/manifest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { decodeSociIndex, encodeSociIndex, ztocReferences } from "../../src/soci/soci-index.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { outcomeOf, acceptedBy } from "./outcome.ts";

const DIGEST = `sha256:${"a1".repeat(32)}`;
const DESCRIPTOR = {
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  digest: DIGEST,
  size: 12345,
  annotations: { a: "b" },
};
const DOCUMENTS = [
  {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { ...DESCRIPTOR, mediaType: "application/vnd.oci.image.config.v1+json" },
    layers: [DESCRIPTOR, { ...DESCRIPTOR, urls: ["https://a.example/b"], data: "e30=" }],
    subject: DESCRIPTOR,
    annotations: { "com.example.a": "b" },
  },
  {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [
      {
        ...DESCRIPTOR,
        mediaType: OCI_MANIFEST,
        platform: { os: "linux", architecture: "arm", variant: "v7", "os.features": ["x"] },
      },
    ],
  },
  {
    os: "linux",
    architecture: "amd64",
    rootfs: { type: "layers", diff_ids: [DIGEST, DIGEST] },
    history: [{ created_by: "x" }],
  },
];
const ARCHIVE = [{ Config: "a.json", RepoTags: ["a:b"], Layers: ["a/layer.tar", "../b"] }];

/** Any JSON at all, deep and with awkward keys and numbers. */
const anyValue = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom(
      null,
      true,
      "",
      "x",
      DIGEST,
      "sha512:00",
      -1,
      0,
      2,
      1.5,
      1e308,
      2 ** 53,
      {},
      [],
    ),
    fc.string({ maxLength: 10 }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(
      fc.oneof(fc.constantFrom("digest", "size", "__proto__", "constructor"), fc.string()),
      tie("value"),
      {
        maxKeys: 4,
      },
    ),
  ),
})).value;

/** A document in which some fields, found by going down at random, hold other values or are gone. */
function changed(document: unknown): fc.Arbitrary<unknown> {
  const change = fc.record({
    path: fc.array(fc.nat(9), { minLength: 1, maxLength: 4 }),
    value: anyValue,
    isRemoval: fc.constantFrom(false, false, true),
  });
  return fc.array(change, { maxLength: 3 }).map((changes) => {
    const copy: unknown = structuredClone(document);
    for (const { path, value, isRemoval } of changes) {
      let at: unknown = copy;
      for (const [depth, step] of path.entries()) {
        if (typeof at !== "object" || at === null) break;
        const keys = Object.keys(at);
        const key = keys[step % Math.max(1, keys.length)] ?? "0";
        const isLast = depth === path.length - 1;
        if (isLast && isRemoval) Reflect.deleteProperty(at, key);
        // A copy: the next change may go into it.
        else if (isLast) Reflect.set(at, key, structuredClone(value));
        else at = Reflect.get(at, key);
      }
    }
    return copy;
  });
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value) ?? "null");
}

/** Documents of these forms, changed as values and as bytes. */
function documentsLike(documents: readonly unknown[]): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.oneof(...documents.map(changed)).map(encode) },
    { weight: 2, arbitrary: mutationsOf(documents.map(encode)) },
    { weight: 1, arbitrary: anyValue.map(encode) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 50 }) },
  );
}

const REFUSALS = ["data-loss", "unsupported"] as const;

function expectDescriptor({ mediaType, digest, size, urls, annotations }: Descriptor): void {
  expect(typeof mediaType).toBe("string");
  expect(isDigest(digest)).toBe(true);
  expect(Number.isSafeInteger(size) && size >= 0).toBe(true);
  expect((urls ?? []).every((url) => typeof url === "string")).toBe(true);
  expect(Object.values(annotations ?? {}).every((text) => typeof text === "string")).toBe(true);
}

function expectManifest(manifest: ImageManifest | ImageIndex): void {
  if (manifest.subject !== undefined) expectDescriptor(manifest.subject);
  if (manifest.kind === "index") {
    for (const entry of manifest.manifests) expectDescriptor(entry);
  } else {
    expectDescriptor(manifest.config);
    for (const layer of manifest.layers) expectDescriptor(layer);
  }
}

fuzz(
  "parseManifest() reads or refuses any document",
  { runs: 6000 },
  fc.record({
    bytes: documentsLike(DOCUMENTS),
    mediaType: fc.constantFrom(undefined, OCI_MANIFEST, OCI_INDEX, "text/html"),
  }),
  ({ bytes, mediaType }) => {
    const options = mediaType === undefined ? {} : { mediaType };
    const manifest = acceptedBy(outcomeOf(() => parseManifest(bytes, options), REFUSALS));
    if (manifest !== undefined) expectManifest(manifest);
  },
);

fuzz(
  "parseImageConfig() reads or refuses any document",
  { runs: 3000 },
  documentsLike(DOCUMENTS.slice(2)),
  (bytes) => {
    const config = acceptedBy(outcomeOf(() => parseImageConfig(bytes), REFUSALS));
    expect((config?.diffIds ?? []).every(isDigest)).toBe(true);
  },
);

fuzz(
  "parseLayoutIndex() and addToLayoutIndex() read or refuse any index.json, and keep what they read",
  { runs: 800 },
  documentsLike(DOCUMENTS.slice(1, 2)),
  (bytes) => {
    const index = acceptedBy(outcomeOf(() => parseLayoutIndex(bytes, "index.json"), REFUSALS));
    if (index === undefined) return;
    expectManifest(index);
    const digest = `sha256:${"b2".repeat(32)}`;
    if (!isDigest(digest)) throw new Error("no digest");
    const added = addToLayoutIndex(bytes, "index.json", {
      mediaType: OCI_MANIFEST,
      digest,
      size: 1,
    });
    const digests = parseLayoutIndex(added, "index.json").manifests.map((entry) => entry.digest);
    expect(digests).toEqual([
      ...index.manifests.map((entry) => entry.digest).filter((other) => other !== digest),
      digest,
    ]);
  },
);

fuzz(
  "parseDockerArchive() reads or refuses any manifest.json",
  { runs: 800 },
  documentsLike([ARCHIVE]),
  (bytes) => {
    const images =
      acceptedBy(outcomeOf(() => parseDockerArchive(bytes, "archive"), REFUSALS)) ?? [];
    for (const { config, tags, layers } of images) {
      expect([config, ...tags, ...layers].every((text) => typeof text === "string")).toBe(true);
    }
  },
);

const SOCI_FOLDER = new URL("../fixtures/soci/", import.meta.url);
const SOCI_INDEXES = readdirSync(SOCI_FOLDER)
  .filter((name) => name.startsWith("sha256-"))
  .map((name): unknown => JSON.parse(readFileSync(new URL(name, SOCI_FOLDER), "utf8")));

fuzz(
  "decodeSociIndex() reads or refuses any document, and encodes what it has read in one way",
  { runs: 4000 },
  documentsLike(SOCI_INDEXES),
  (bytes) => {
    const index = acceptedBy(outcomeOf(() => decodeSociIndex(bytes), REFUSALS));
    if (index === undefined) return;
    for (const { descriptor, layer, spanSize } of ztocReferences(index)) {
      expectDescriptor(descriptor);
      expect(isDigest(layer)).toBe(true);
      expect(spanSize === undefined || Number.isSafeInteger(spanSize)).toBe(true);
    }
    // Go leaves empty fields out, so that only what has been encoded once comes out the same.
    const encoded = encodeSociIndex(index);
    const again = encodeSociIndex(decodeSociIndex(encoded));
    expect(Buffer.compare(again, encoded)).toBe(0);
  },
);

fuzz(
  "parseJson() bounds depth and size before it parses",
  { runs: 200 },
  fc.record({ depth: fc.nat(300), open: fc.constantFrom("[", '{"a":'), tail: fc.string() }),
  ({ depth, open, tail }) => {
    const text = open.repeat(depth) + tail;
    const bytes = new TextEncoder().encode(text);
    const parsed = outcomeOf(() => parseJson(bytes, "text", { maxDepth: 100, maxBytes: 1000 }));
    expect("refused" in parsed || (depth <= 100 && bytes.length <= 1000)).toBe(true);
  },
);
