import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { buildSociIndex, type LayerZtoc } from "../../src/soci/build-soci-index.ts";
import { decodeSociIndex, encodeSociIndex, ztocReferences } from "../../src/soci/soci-index.ts";

const XATTR_FIXTURE = join(
  import.meta.dir,
  "../fixtures/soci",
  "sha256-c7f9df907415c2a7913feac17f5a898a9a4eca1b04e071c9c84519d84edb44a6.json",
);

const imageManifest = {
  mediaType: OCI_MANIFEST,
  digest: digestOf("image"),
  size: 9,
  annotations: { a: "1" },
  platform: { os: "linux", architecture: "amd64" },
};

function ztoc(name: string, more: Partial<LayerZtoc> = {}): LayerZtoc {
  const layer = { mediaType: "m", digest: digestOf(name), size: 1 };
  return {
    digest: digestOf(`ztoc ${name}`),
    size: 5,
    layer,
    spanSize: 64,
    disableXattrs: false,
    ...more,
  };
}

test("buildSociIndex() makes the Go tool's index, xattr marks included, from the zTOCs it names", () => {
  const bytes = new Uint8Array(readFileSync(XATTR_FIXTURE));
  const golden = decodeSociIndex(bytes);
  const built = ztocReferences(golden).map((reference) => ({
    digest: reference.descriptor.digest,
    size: reference.descriptor.size,
    layer: { mediaType: reference.layerMediaType ?? "", digest: reference.layer, size: 0 },
    spanSize: reference.spanSize ?? 0,
    disableXattrs: reference.disableXattrs,
  }));
  const index = buildSociIndex(built, {
    version: "v1",
    imageManifest: golden.subject ?? imageManifest,
  });
  expect(encodeSociIndex(index)).toEqual(bytes);
});

test("buildSociIndex() gives a v1 index its image as subject, by three fields alone", () => {
  const { mediaType, digest, size } = imageManifest;
  const index = buildSociIndex([ztoc("a")], { version: "v1", imageManifest });
  expect(index.subject).toEqual({ mediaType, digest, size });
});

test("buildSociIndex() gives a v2 index no subject", () => {
  expect(buildSociIndex([ztoc("a")], { version: "v2", imageManifest }).subject).toBeUndefined();
});

test("buildSociIndex() puts prefetch artifacts after the zTOCs", () => {
  const prefetch = [{ digest: digestOf("p"), size: 3, layer: digestOf("a") }];
  const index = buildSociIndex([ztoc("a"), ztoc("b")], { version: "v2", imageManifest, prefetch });
  expect(index.blobs.map(({ digest }) => digest)).toEqual([
    digestOf("ztoc a"),
    digestOf("ztoc b"),
    digestOf("p"),
  ]);
  expect(index.blobs[2]?.annotations).toEqual({
    "com.amazon.soci.image-layer-digest": digestOf("a"),
  });
});

test("buildSociIndex() marks layers that need no xattrs", () => {
  const index = buildSociIndex([ztoc("a", { disableXattrs: true }), ztoc("b")], {
    version: "v2",
    imageManifest,
  });
  expect(ztocReferences(index).map(({ disableXattrs }) => disableXattrs)).toEqual([true, false]);
});

test("buildSociIndex() refuses to make an empty index", () => {
  expect(() => buildSociIndex([], { version: "v1", imageManifest })).toThrow(
    expect.objectContaining({
      kind: "failed-precondition",
      message: "no ztocs created, all layers either skipped or produced errors",
    }),
  );
});
