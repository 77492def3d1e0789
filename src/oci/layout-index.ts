import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { parseJson } from "./json-document.ts";
import { type ImageIndex, parseImageIndex } from "./manifest.ts";
import { OCI_INDEX } from "./media-types.ts";

/** The annotation that gives an entry of index.json its tag. https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md */
export const REF_NAME = "org.opencontainers.image.ref.name";

export const EMPTY_LAYOUT_INDEX: Uint8Array = new TextEncoder().encode(
  JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }),
);

/** Parses a layout's index.json. @throws data-loss */
export function parseLayoutIndex(bytes: Uint8Array, path: string): ImageIndex {
  return parseImageIndex(bytes, { what: `"${path}"`, mediaType: OCI_INDEX });
}

/**
 * index.json with one more entry. It replaces the entry of the same digest and the same tag (or no
 * tag), and, when it has a tag, every other entry of that tag. All else stays as it stands.
 */
export function addToLayoutIndex(bytes: Uint8Array, path: string, entry: Descriptor): Uint8Array {
  const tag = tagOf(entry);
  return editIndex(bytes, path, (raw, entries) => [
    ...raw.filter((_, index) => {
      const other = entries[index];
      const otherTag = other === undefined ? undefined : tagOf(other);
      const sameTag = tag !== undefined && otherTag === tag;
      const sameDigest = other?.digest === entry.digest;
      return !sameTag && !(sameDigest && (otherTag === undefined || otherTag === tag));
    }),
    entry,
  ]);
}

/** index.json without the entries of a digest. */
export function removeFromLayoutIndex(bytes: Uint8Array, path: string, digest: Digest): Uint8Array {
  return editIndex(bytes, path, (raw, entries) =>
    raw.filter((_, index) => entries[index]?.digest !== digest),
  );
}

/** The tag of an entry of index.json. */
export function tagOf(entry: Descriptor): string | undefined {
  return entry.annotations?.[REF_NAME];
}

// Works on the raw document, so that fields we do not know survive.
function editIndex(
  bytes: Uint8Array,
  path: string,
  edit: (raw: readonly unknown[], entries: readonly Descriptor[]) => readonly unknown[],
): Uint8Array {
  const { manifests } = parseLayoutIndex(bytes, path);
  const document = parseJson(bytes, `"${path}"`);
  if (typeof document !== "object" || document === null) {
    throw new SociError("data-loss", `Cannot edit "${path}": it is no object`);
  }
  const raw: readonly unknown[] =
    "manifests" in document && Array.isArray(document.manifests) ? document.manifests : [];
  const edited = { ...document, manifests: edit(raw, manifests) };
  return new TextEncoder().encode(JSON.stringify(edited));
}
