import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, digestOf, isDigest } from "./digest.ts";
import { fetchDocument } from "./fetch-document.ts";
import { HttpError } from "./http-error.ts";
import { MAX_JSON_BYTES } from "./json-document.ts";
import { parseManifest } from "./manifest.ts";
import { ACCEPTED_MANIFESTS, isIndexType, isManifestType, mediaTypeOf } from "./media-types.ts";
import type { TagName } from "./reference.ts";
import type { RegistrySession } from "./registry-session.ts";

/** A manifest or image index, with the bytes it is named by. */
export interface FetchedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  /** What a conditional write may name it by. https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1 */
  readonly etag: string | undefined;
}

/**
 * Gets a manifest or image index in one request. By digest it is checked against it; by tag the
 * digest is that of the bytes. Wrong bytes are asked for once more, past all caches.
 * @throws not-found, data-loss
 */
export async function getManifest(
  session: RegistrySession,
  reference: TagName | Digest,
  { signal }: WaitOptions = {},
): Promise<FetchedManifest> {
  try {
    return await fetchManifest(session, reference, { signal });
  } catch (error) {
    if (!isKind(error, "data-loss")) {
      throw error;
    }
    session.log.debug("manifest was wrong and is fetched again", { reference, error });
    return await fetchManifest(session, reference, { isFresh: true, signal });
  }
}

async function fetchManifest(
  session: RegistrySession,
  reference: TagName | Digest,
  { isFresh = false, signal }: WaitOptions & { readonly isFresh?: boolean },
): Promise<FetchedManifest> {
  const { bytes, headers } = await fetchDocument(session, {
    path: `manifests/${reference}`,
    headers: {
      accept: ACCEPTED_MANIFESTS.join(", "),
      ...(isFresh ? { "cache-control": "no-cache" } : {}),
    },
    maxBytes: MAX_JSON_BYTES,
    isForOrigin: isFresh,
    signal,
  });
  const what = `manifest "${reference}" of ${session.name}`;
  const digest = digestOf(bytes);
  const told = headers.get("docker-content-digest");
  const want = isDigest(reference) ? reference : told !== null && isDigest(told) ? told : digest;
  if (digest !== want) {
    throw new SociError("data-loss", `Cannot use ${what}: digest is "${digest}", want "${want}"`);
  }
  const contentType = mediaTypeOf(headers.get("content-type"));
  const { mediaType } = parseManifest(bytes, { what, mediaType: contentType });
  const known = isManifestType(contentType) || isIndexType(contentType);
  const etag = headers.get("etag");
  return {
    descriptor: { mediaType: known ? contentType : mediaType, digest, size: bytes.length },
    bytes,
    etag: etag === null || etag.startsWith("W/") ? undefined : etag,
  };
}

/** What a registry says about a manifest it has taken. */
export interface PutManifestResult {
  readonly digest: Digest;
  /** The OCI-Subject header: there, the registry has listed the manifest as a referrer of its subject. */
  readonly subject: Digest | undefined;
}

export interface PutManifestOptions extends WaitOptions {
  readonly mediaType: string;
  /** Where to put it; its own digest when not given. */
  readonly reference?: TagName | Digest;
  /**
   * Only if the tag still names what has this ETag; `absent`: only if there is no such tag. A
   * registry that honours it answers 412 otherwise (`failed-precondition`); many do not look.
   */
  readonly onlyIf?: { readonly etag: string } | "absent" | undefined;
}

/** Puts a manifest or image index. Its blobs must be there. */
export async function putManifest(
  session: RegistrySession,
  bytes: Uint8Array,
  { mediaType, reference, onlyIf, signal }: PutManifestOptions,
): Promise<PutManifestResult> {
  const digest = digestOf(bytes);
  await using response = await session.send({
    method: "PUT",
    path: `manifests/${reference ?? digest}`,
    headers: { "content-type": mediaType, ...conditionOf(onlyIf) },
    body: { size: bytes.length, open: () => [bytes] },
    signal,
  });
  const subject = response.headers.get("oci-subject");
  return { digest, subject: subject !== null && isDigest(subject) ? subject : undefined };
}

function conditionOf(onlyIf: PutManifestOptions["onlyIf"]): Readonly<Record<string, string>> {
  if (onlyIf === undefined) {
    return {};
  }
  return onlyIf === "absent" ? { "if-none-match": "*" } : { "if-match": onlyIf.etag };
}

/** Removes a manifest; whether the registry did so: many do not, and some have it no more. */
export async function deleteManifest(
  session: RegistrySession,
  digest: Digest,
  { signal }: WaitOptions = {},
): Promise<boolean> {
  try {
    await using _done = await session.send({
      method: "DELETE",
      path: `manifests/${digest}`,
      signal,
    });
    return true;
  } catch (error) {
    if (error instanceof HttpError && [400, 403, 404, 405, 501].includes(error.status ?? 0)) {
      return false;
    }
    throw error;
  }
}
