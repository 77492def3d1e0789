import type { WaitOptions } from "../async/wait-options.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, hexOf } from "./digest.ts";
import { HttpError } from "./http-error.ts";
import { parseImageIndex } from "./manifest.ts";
import type { TagName } from "./reference.ts";
import { getManifest } from "./registry-manifests.ts";
import type { RegistrySession } from "./registry-session.ts";

/** The tag that lists the referrers of `subject` where there is no Referrers API. https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema */
export function referrersTag(subject: Digest): TagName {
  return `sha256-${hexOf(subject)}` as TagName;
}

/** What a fallback tag names. */
export interface ReferrersTagState {
  readonly digest: Digest;
  readonly etag: string | undefined;
  readonly manifests: readonly Descriptor[];
}

/** The fallback tag of `subject` as it is now; `undefined` when there is none. */
export async function readReferrersTag(
  session: RegistrySession,
  subject: Digest,
  { signal }: WaitOptions = {},
): Promise<ReferrersTagState | undefined> {
  const tag = referrersTag(subject);
  try {
    const { descriptor, bytes, etag } = await getManifest(session, tag, { signal });
    const what = `manifest "${tag}" of ${session.name}`;
    const { manifests } = parseImageIndex(bytes, { what, mediaType: descriptor.mediaType });
    return { digest: descriptor.digest, etag, manifests };
  } catch (error) {
    if (error instanceof HttpError && error.status === 404) {
      return undefined;
    }
    throw error;
  }
}
