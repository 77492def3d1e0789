import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { JsonObject, parseJson, type JsonLimits } from "./json-document.ts";
import {
  isIndexType,
  isManifestType,
  isSchema1Type,
  OCI_INDEX,
  OCI_MANIFEST,
} from "./media-types.ts";
import { parseDescriptor } from "./parse-descriptor.ts";

interface ManifestBase {
  /** As the document says, or as follows from its form when it does not. */
  readonly mediaType: string;
  readonly artifactType?: string;
  /** The manifest that this one refers to. */
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md */
export interface ImageManifest extends ManifestBase {
  readonly kind: "manifest";
  readonly config: Descriptor;
  /** Bottom first. */
  readonly layers: readonly Descriptor[];
}

/** https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md */
export interface ImageIndex extends ManifestBase {
  readonly kind: "index";
  readonly manifests: readonly Descriptor[];
}

export interface ParseManifestOptions extends JsonLimits {
  /** What the sender says it is: must agree with the document. */
  readonly mediaType?: string;
  /** Names the document in errors. */
  readonly what?: string;
  /** Most layers of a manifest, most manifests of an index. */
  readonly maxItems?: number;
}

// Far above what exists (overlayfs stacks 500 layers, Docker writes 127), far below what hurts.
const MAX_ITEMS = 4096;

/** Parses a manifest or image index, OCI or Docker schema 2. @throws data-loss, or unsupported for other documents */
export function parseManifest(
  bytes: Uint8Array,
  { mediaType, what = "manifest", maxItems = MAX_ITEMS, ...limits }: ParseManifestOptions = {},
): ImageManifest | ImageIndex {
  const json = new JsonObject(parseJson(bytes, what, limits), what);
  const type = typeOf(json, mediaType);
  checkVersion(json);
  return isIndexType(type) ? indexOf(json, type, maxItems) : manifestOf(json, type, maxItems);
}

/** Parses a manifest; an image index is refused. @throws data-loss or unsupported */
export function parseImageManifest(
  bytes: Uint8Array,
  options: ParseManifestOptions = {},
): ImageManifest {
  const parsed = parseManifest(bytes, options);
  if (parsed.kind !== "manifest") {
    throw wrongKind(options.what ?? "manifest", parsed.mediaType, "a manifest");
  }
  return parsed;
}

/** Parses an image index; a manifest is refused. @throws data-loss or unsupported */
export function parseImageIndex(bytes: Uint8Array, options: ParseManifestOptions = {}): ImageIndex {
  const parsed = parseManifest(bytes, { what: "image index", ...options });
  if (parsed.kind !== "index") {
    throw wrongKind(options.what ?? "image index", parsed.mediaType, "an image index");
  }
  return parsed;
}

/** What kind of artifact a manifest is: `artifactType`, else the config's media type, as the Referrers API counts. */
export function artifactTypeOf(manifest: ImageManifest | ImageIndex): string | undefined {
  if (manifest.artifactType !== undefined && manifest.artifactType !== "") {
    return manifest.artifactType;
  }
  return manifest.kind === "manifest" ? manifest.config.mediaType : undefined;
}

function typeOf(json: JsonObject, told: string | undefined): string {
  const written = json.optionalString("mediaType");
  const type = written ?? (told === undefined || !isKnown(told) ? typeByForm(json) : told);
  if (isSchema1Type(type) || isSchema1Type(told ?? "") || json.has("fsLayers")) {
    throw new SociError("unsupported", `Cannot use ${json.what}: it is of Docker's schema 1`, {
      hint: "Push the image again with a current tool",
    });
  }
  if (!isKnown(type)) {
    throw new SociError(
      "unsupported",
      `Cannot use ${json.what}: its media type is ${JSON.stringify(type.slice(0, 100))}, want a manifest or image index`,
    );
  }
  // A document read as a manifest by one tool and as an index by another is an attack.
  // https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh
  if (told !== undefined && isKnown(told) && isIndexType(told) !== isIndexType(type)) {
    throw new SociError(
      "data-loss",
      `Cannot use ${json.what}: its mediaType is "${type}", but it was announced as "${told}"`,
    );
  }
  const index = isIndexType(type);
  if (json.has(index ? "layers" : "manifests") || (index && json.has("config"))) {
    throw new SociError(
      "data-loss",
      `Cannot use ${json.what}: it has the fields of both a manifest and an image index`,
    );
  }
  return type;
}

function typeByForm(json: JsonObject): string {
  if (json.has("manifests")) {
    return OCI_INDEX;
  }
  return OCI_MANIFEST;
}

function isKnown(type: string): boolean {
  return isIndexType(type) || isManifestType(type);
}

function checkVersion(json: JsonObject): void {
  const version = json.size("schemaVersion");
  if (version !== 2) {
    throw new SociError(
      "unsupported",
      `Cannot use ${json.what}: schemaVersion is ${version}, want 2`,
    );
  }
}

function manifestOf(json: JsonObject, mediaType: string, maxItems: number): ImageManifest {
  return {
    kind: "manifest",
    ...baseOf(json, mediaType),
    config: parseDescriptor(json.object("config")),
    layers: (json.optionalObjects("layers", maxItems) ?? []).map(parseDescriptor),
  };
}

function indexOf(json: JsonObject, mediaType: string, maxItems: number): ImageIndex {
  return {
    kind: "index",
    ...baseOf(json, mediaType),
    manifests: (json.optionalObjects("manifests", maxItems) ?? []).map(parseDescriptor),
  };
}

function baseOf(json: JsonObject, mediaType: string): ManifestBase {
  const artifactType = json.optionalString("artifactType");
  const subject = json.optionalObject("subject");
  const annotations = json.optionalStringMap("annotations");
  return {
    mediaType,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(subject === undefined ? {} : { subject: parseDescriptor(subject) }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function wrongKind(what: string, mediaType: string, want: string): SociError {
  return new SociError(
    "data-loss",
    `Cannot use ${what}: its media type is "${mediaType}", want ${want}`,
  );
}
