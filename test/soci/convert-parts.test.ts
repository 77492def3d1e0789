import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { parseImageIndex, parseImageManifest } from "../../src/oci/manifest.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { parseSpelledPlatform } from "../../src/oci/spelled-platform.ts";
import { convertParts, type IndexedPart } from "../../src/soci/convert-parts.ts";
import type { ImagePart, PlatformManifest } from "../../src/soci/image-parts.ts";

type SociIndexes = Readonly<Record<string, { readonly digest: Digest; readonly size: number }>>;

const FIXTURE: {
  readonly multiarch: {
    readonly index: string;
    readonly manifests: readonly string[];
    readonly cases: readonly {
      readonly title: string;
      readonly sociIndexes: SociIndexes;
      readonly index: string;
    }[];
  };
  readonly small: {
    readonly image: string;
    readonly sociIndexes: SociIndexes;
    readonly index: string;
  };
} = JSON.parse(readFileSync(join(import.meta.dir, "../fixtures/soci/convert.json"), "utf8"));

const V2 = "application/vnd.amazon.soci.index.v2+json";
const IMAGE = "com.amazon.soci.image-manifest-digest";

function partOf(text: string, descriptor?: Descriptor): PlatformManifest {
  const bytes = Buffer.from(text);
  const platform = descriptor?.platform ?? { architecture: "amd64", os: "linux" };
  const own = { mediaType: OCI_MANIFEST, digest: digestOf(bytes), size: bytes.length, platform };
  return {
    kind: "image",
    descriptor: descriptor ?? own,
    manifest: parseImageManifest(bytes, { mediaType: OCI_MANIFEST }),
    platform,
  };
}

function indexed(parts: readonly ImagePart[], sociIndexes: SociIndexes): IndexedPart[] {
  return Object.entries(sociIndexes).flatMap(([name, sociIndex]) => {
    const platform = parseSpelledPlatform(name);
    const part = parts.find(
      (one): one is PlatformManifest =>
        one.kind === "image" && one.platform.architecture === platform.architecture,
    );
    return part === undefined ? [] : [{ part, platform, sociIndex }];
  });
}

const source = parseImageIndex(Buffer.from(FIXTURE.multiarch.index));
const parts = source.manifests.map((descriptor, index) =>
  partOf(FIXTURE.multiarch.manifests[index] ?? "", descriptor),
);

describe("convertParts() writes the Go tool's bytes", () => {
  test.each(FIXTURE.multiarch.cases)("for $title of an image index", ({ sociIndexes, index }) => {
    const { root } = convertParts({ index: source, parts }, indexed(parts, sociIndexes));
    expect(Buffer.from(root.bytes).toString()).toBe(index);
  });

  test("for a single manifest without a media type", () => {
    const alone = [partOf(FIXTURE.small.image)];
    const { root } = convertParts(
      { index: {}, parts: alone },
      indexed(alone, FIXTURE.small.sociIndexes),
    );
    expect(Buffer.from(root.bytes).toString()).toBe(FIXTURE.small.index);
  });
});

function sociPart(annotations: Readonly<Record<string, string>>, architecture: string): ImagePart {
  const descriptor = {
    mediaType: OCI_MANIFEST,
    digest: digestOf(`soci ${architecture} ${JSON.stringify(annotations)}`),
    size: 10,
    annotations,
    platform: { architecture, os: "linux" },
    artifactType: V2,
  };
  return { kind: "soci-v2", descriptor, bytes: new Uint8Array(10), children: [] };
}

const [amd64, arm64] = parts;
const amd64Only = indexed(parts, FIXTURE.multiarch.cases[0]?.sociIndexes ?? {});

describe("convertParts()", () => {
  test("puts a SOCI index in the place of the platform's old one, of several in the first's", () => {
    const old = [sociPart({ [IMAGE]: digestOf("x") }, "amd64"), sociPart({}, "amd64")];
    const all = [...old, ...parts];
    const { root, kept } = convertParts({ index: {}, parts: all }, amd64Only);
    const entries = parseImageIndex(root.bytes).manifests;
    expect(entries).toHaveLength(3);
    expect(entries[0]?.digest).toBe(amd64Only[0]?.sociIndex.digest as Digest);
    expect(kept).toEqual([]);
  });

  test("keeps another platform's SOCI index, and names its manifest as it is now", () => {
    const docker = {
      ...(arm64 as PlatformManifest),
      descriptor: { ...(arm64 as PlatformManifest).descriptor, digest: digestOf("before") },
    };
    const soci = sociPart({ [IMAGE]: digestOf("before"), other: "kept" }, "arm64");
    const all = [amd64 as PlatformManifest, docker, soci];
    const { root, kept, manifests } = convertParts({ index: {}, parts: all }, amd64Only);
    const entries = parseImageIndex(root.bytes).manifests;
    expect(entries[2]).toMatchObject({
      digest: soci.descriptor.digest,
      annotations: { other: "kept", [IMAGE]: manifests.get(digestOf("before"))?.descriptor.digest },
    });
    expect(kept.map(({ descriptor }) => descriptor)).toEqual([soci.descriptor]);
  });

  test("drops the embedded bytes of a manifest that has changed", () => {
    const first = amd64 as PlatformManifest;
    const part = { ...first, descriptor: { ...first.descriptor, data: "e30=" } };
    const { root } = convertParts({ index: {}, parts: [part] }, [
      { ...(amd64Only[0] as IndexedPart), part },
    ]);
    expect(parseImageIndex(root.bytes).manifests[0]).not.toHaveProperty("data");
  });

  test("keeps annotations, subject and artifact type of the index", () => {
    const subject = { mediaType: OCI_MANIFEST, digest: digestOf("subject"), size: 7 };
    const index = { annotations: { a: "<&>" }, subject, artifactType: "application/x" };
    const { root } = convertParts({ index, parts }, amd64Only);
    expect(parseImageIndex(root.bytes)).toEqual(expect.objectContaining(index));
  });
});
