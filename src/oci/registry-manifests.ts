import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, digestOf, isDigest } from "./digest.ts";
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
}

/**
 * Gets a manifest or image index in one request. By digest it is checked against it; by tag the
 * digest is that of the bytes. @throws not-found, data-loss
 */
export async function getManifest(
  session: RegistrySession,
  reference: TagName | Digest,
  { signal }: WaitOptions = {},
): Promise<FetchedManifest> {
  await using response = await session.send({
    method: "GET",
    path: `manifests/${reference}`,
    headers: { accept: ACCEPTED_MANIFESTS.join(", ") },
    signal,
  });
  const what = `manifest "${reference}" of ${session.name}`;
  const bytes = await response.bytes(MAX_JSON_BYTES);
  const digest = digestOf(bytes);
  const told = response.headers.get("docker-content-digest");
  const want = isDigest(reference) ? reference : told !== null && isDigest(told) ? told : digest;
  if (digest !== want) {
    throw new SociError("data-loss", `Cannot use ${what}: digest is "${digest}", want "${want}"`);
  }
  const contentType = mediaTypeOf(response.headers.get("content-type"));
  const { mediaType } = parseManifest(bytes, { what, mediaType: contentType });
  const known = isManifestType(contentType) || isIndexType(contentType);
  return {
    descriptor: { mediaType: known ? contentType : mediaType, digest, size: bytes.length },
    bytes,
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
}

/** Puts a manifest or image index. Its blobs must be there. */
export async function putManifest(
  session: RegistrySession,
  bytes: Uint8Array,
  { mediaType, reference, signal }: PutManifestOptions,
): Promise<PutManifestResult> {
  const digest = digestOf(bytes);
  await using response = await session.send({
    method: "PUT",
    path: `manifests/${reference ?? digest}`,
    headers: { "content-type": mediaType },
    body: { size: bytes.length, open: () => [bytes] },
    signal,
  });
  const subject = response.headers.get("oci-subject");
  return { digest, subject: subject !== null && isDigest(subject) ? subject : undefined };
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
