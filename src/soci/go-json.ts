import type { Descriptor, Platform } from "../oci/descriptor.ts";
import { compareGoStrings, goJsonString } from "./go-string.ts";

/** The fields of a manifest that Go's ocispec.Manifest knows. */
export interface CanonicalManifest {
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The fields of an image index that Go's ocispec.Index knows. */
export interface CanonicalImageIndex {
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

const UTF8 = new TextEncoder();

/**
 * A manifest byte for byte as Go's json.Marshal(ocispec.Manifest) writes it. The Go snapshotter encodes
 * a fetched index again and checks its digest: any other form of the same JSON is refused there.
 */
export function encodeManifest(manifest: CanonicalManifest): Uint8Array {
  return UTF8.encode(
    object([
      ["schemaVersion", "2"],
      ["mediaType", optional(manifest.mediaType)],
      ["artifactType", optional(manifest.artifactType)],
      ["config", descriptor(manifest.config)],
      ["layers", array(manifest.layers.map(descriptor))],
      ["subject", manifest.subject && descriptor(manifest.subject)],
      ["annotations", map(manifest.annotations)],
    ]),
  );
}

/** An image index byte for byte as Go's json.Marshal(ocispec.Index) writes it. */
export function encodeImageIndex(index: CanonicalImageIndex): Uint8Array {
  return UTF8.encode(
    object([
      ["schemaVersion", "2"],
      ["mediaType", optional(index.mediaType)],
      ["artifactType", optional(index.artifactType)],
      ["manifests", array(index.manifests.map(descriptor))],
      ["subject", index.subject && descriptor(index.subject)],
      ["annotations", map(index.annotations)],
    ]),
  );
}

function descriptor(value: Descriptor): string {
  return object([
    ["mediaType", goJsonString(value.mediaType)],
    ["digest", goJsonString(value.digest)],
    ["size", String(value.size)],
    ["urls", strings(value.urls)],
    ["annotations", map(value.annotations)],
    ["data", optional(value.data)],
    ["platform", value.platform && platform(value.platform)],
    ["artifactType", optional(value.artifactType)],
  ]);
}

function platform(value: Platform): string {
  return object([
    ["architecture", goJsonString(value.architecture)],
    ["os", goJsonString(value.os)],
    ["os.version", optional(value["os.version"])],
    ["os.features", strings(value["os.features"])],
    ["variant", optional(value.variant)],
  ]);
}

/** Leaves fields without a value out. */
function object(fields: readonly (readonly [string, string | undefined])[]): string {
  const written = fields.flatMap(([key, value]) =>
    value === undefined ? [] : [`${goJsonString(key)}:${value}`],
  );
  return `{${written.join(",")}}`;
}

function array(values: readonly string[]): string {
  return `[${values.join(",")}]`;
}

// `omitempty`: empty text, lists and maps are left out.
function optional(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : goJsonString(text);
}

function strings(values: readonly string[] | undefined): string | undefined {
  return values === undefined || values.length === 0 ? undefined : array(values.map(goJsonString));
}

function map(values: Readonly<Record<string, string>> | undefined): string | undefined {
  const entries = Object.entries(values ?? {});
  if (entries.length === 0) return undefined;
  entries.sort(([a], [b]) => compareGoStrings(a, b));
  return object(entries.map(([key, value]) => [key, goJsonString(value)]));
}
