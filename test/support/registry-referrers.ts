import type { Digest } from "../../src/oci/digest.ts";
import { artifactTypeOf, parseManifest } from "../../src/oci/manifest.ts";
import { OCI_INDEX } from "../../src/oci/media-types.ts";
import type { RegistryManners } from "./registry-manners.ts";

/** A manifest as a test registry keeps it. */
export interface StoredManifest {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** What one repository of a test registry holds. */
export interface Repository {
  readonly manifests: Map<Digest, StoredManifest>;
  readonly tags: Map<string, Digest>;
  readonly blobs: Set<Digest>;
}

/** A page of the Referrers API. */
export function answerReferrers(
  url: URL,
  {
    manners,
    manifests,
    subject,
  }: {
    readonly manners: RegistryManners;
    readonly manifests: ReadonlyMap<Digest, StoredManifest>;
    readonly subject: string;
  },
): Response {
  if (!manners.referrersApi) {
    return new Response("404 page not found\n", { status: 404 });
  }
  const wanted = manners.ignoreReferrersFilter ? null : url.searchParams.get("artifactType");
  const all = [...manifests].flatMap(([digest, { mediaType, bytes }]) => {
    const parsed = parseManifest(bytes, { mediaType });
    const artifactType = artifactTypeOf(parsed);
    if (parsed.subject?.digest !== subject || artifactType !== (wanted ?? artifactType)) {
      return [];
    }
    const { annotations } = parsed;
    return [{ mediaType, digest, size: bytes.length, artifactType, annotations }];
  });
  const start = Number(url.searchParams.get("next") ?? 0);
  const end = start + manners.referrersPageSize;
  const next = new URL(url);
  next.searchParams.set("next", String(end));
  return new Response(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: all.slice(start, end) }),
    {
      headers: {
        "content-type": OCI_INDEX,
        ...(wanted === null ? {} : { "oci-filters-applied": "artifactType" }),
        ...(end < all.length ? { link: `<${next.pathname}${next.search}>; rel="next"` } : {}),
      },
    },
  );
}
