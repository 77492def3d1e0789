import { type Digest, hexOf } from "./digest.ts";
import type { TagName } from "./reference.ts";

/** The tag that lists the referrers of `subject` where there is no Referrers API. https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema */
export function referrersTag(subject: Digest): TagName {
  return `sha256-${hexOf(subject)}` as TagName;
}
