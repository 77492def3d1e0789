import { isKind } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { tagOf } from "./layout-index.ts";
import { artifactTypeOf, parseManifest } from "./manifest.ts";
import { isIndexType, isManifestType } from "./media-types.ts";
import { referrersTag } from "./referrers-tag.ts";

export interface LayoutReferrersOptions {
  readonly subject: Digest;
  readonly artifactType: string;
  readonly read: (descriptor: Descriptor) => Promise<Uint8Array>;
}

/**
 * Manifests of a layout that refer to a subject: those whose `subject` is that, and those listed by
 * an index under the referrers tag, as copies of a registry's fallback tag have it. Each once.
 */
export async function layoutReferrers(
  entries: readonly Descriptor[],
  { subject, artifactType, read }: LayoutReferrersOptions,
): Promise<Descriptor[]> {
  const found = new Map<Digest, Descriptor>();
  const tag = referrersTag(subject);
  for (const entry of entries) {
    if (entry.digest === subject) {
      continue;
    }
    const listed = tagOf(entry) === tag && isIndexType(entry.mediaType);
    const referrers = listed
      ? await listedBy(entry, read)
      : await ifItRefers(entry, { subject, read });
    for (const referrer of referrers) {
      if (referrer.artifactType === artifactType && !found.has(referrer.digest)) {
        found.set(referrer.digest, referrer);
      }
    }
  }
  return [...found.values()];
}

async function listedBy(
  entry: Descriptor,
  read: (descriptor: Descriptor) => Promise<Uint8Array>,
): Promise<readonly Descriptor[]> {
  const parsed = parseManifest(await read(entry), { mediaType: entry.mediaType });
  return parsed.kind === "index" ? parsed.manifests : [];
}

async function ifItRefers(
  entry: Descriptor,
  { subject, read }: Pick<LayoutReferrersOptions, "subject" | "read">,
): Promise<readonly Descriptor[]> {
  if (!isManifestType(entry.mediaType)) {
    return [];
  }
  try {
    const parsed = parseManifest(await read(entry), { mediaType: entry.mediaType });
    const artifactType = artifactTypeOf(parsed);
    return parsed.subject?.digest === subject && artifactType !== undefined
      ? [{ ...entry, artifactType }]
      : [];
  } catch (error) {
    // Other entries of the layout are none of our business: absent or of an unknown form.
    if (isKind(error, "not-found", "unsupported")) {
      return [];
    }
    throw error;
  }
}
