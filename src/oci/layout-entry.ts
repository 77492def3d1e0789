import { isKind, SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { tagOf } from "./layout-index.ts";
import { parseManifest } from "./manifest.ts";
import { isConfigType, isIndexType, isManifestType } from "./media-types.ts";

export interface SelectEntryOptions {
  readonly place: string;
  readonly tag: string | undefined;
  readonly read: (descriptor: Descriptor) => Promise<Uint8Array>;
}

const REFERRERS_TAG = /^sha256-[0-9a-f]{64}$/;
const MAX_NAMES = 20;

/**
 * The entry of a layout's index.json that a name stands for: the one with the tag, or else the only
 * image. SOCI indexes and other artifacts lie in the same list and are no images.
 * @throws not-found, invalid-argument when the name fits several
 */
export async function selectLayoutEntry(
  entries: readonly Descriptor[],
  { place, tag, read }: SelectEntryOptions,
): Promise<Descriptor> {
  if (tag !== undefined) {
    // The last of equal tags is the newest, as tools that only append write them.
    const found = entries.findLast((entry) => tagOf(entry) === tag || entry.digest === tag);
    if (found === undefined) {
      throw new SociError(
        "not-found",
        `Cannot find ${JSON.stringify(tag)} in "${place}"`,
        hintOf(entries),
      );
    }
    return found;
  }
  const images = await onlyImages(entries, read);
  const distinct = new Map(images.map((image) => [image.digest, image]));
  const [only, ...others] = distinct.values();
  if (only === undefined) {
    throw new SociError("not-found", `Cannot find an image in "${place}"`, hintOf(entries));
  }
  if (others.length > 0) {
    throw new SociError(
      "invalid-argument",
      `Cannot choose an image of "${place}": it holds ${distinct.size}`,
      hintOf(entries),
    );
  }
  return only;
}

async function onlyImages(
  entries: readonly Descriptor[],
  read: (descriptor: Descriptor) => Promise<Uint8Array>,
): Promise<readonly Descriptor[]> {
  const candidates = entries.filter(
    (entry) =>
      (isManifestType(entry.mediaType) || isIndexType(entry.mediaType)) &&
      (entry.artifactType ?? "") === "" &&
      !REFERRERS_TAG.test(tagOf(entry) ?? ""),
  );
  // One is what was meant, whatever it is: the caller finds out.
  if (candidates.length <= 1) {
    return candidates;
  }
  const images: Descriptor[] = [];
  for (const candidate of candidates) {
    if (isIndexType(candidate.mediaType) || (await isImage(candidate, read))) {
      images.push(candidate);
    }
  }
  return images;
}

async function isImage(
  entry: Descriptor,
  read: (descriptor: Descriptor) => Promise<Uint8Array>,
): Promise<boolean> {
  try {
    const parsed = parseManifest(await read(entry), { mediaType: entry.mediaType });
    return parsed.kind === "manifest" && isConfigType(parsed.config.mediaType);
  } catch (error) {
    // A manifest that is not in the layout cannot be the image in it.
    if (isKind(error, "not-found")) {
      return false;
    }
    throw error;
  }
}

function hintOf(entries: readonly Descriptor[]): { readonly hint: string } {
  const names = entries
    .map(tagOf)
    .filter((name) => name !== undefined && !REFERRERS_TAG.test(name))
    .slice(0, MAX_NAMES);
  return {
    hint:
      names.length === 0
        ? "No entry has a name: give the digest of one in the place of a tag"
        : `It has ${names.map((name) => JSON.stringify(name)).join(", ")}`,
  };
}
