import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { fetchDocument } from "./fetch-document.ts";
import { HttpError } from "./http-error.ts";
import { MAX_JSON_BYTES } from "./json-document.ts";
import { nextLink } from "./link-header.ts";
import { parseImageIndex } from "./manifest.ts";
import { mediaTypeOf, OCI_INDEX } from "./media-types.ts";
import { referrersTag } from "./referrers-tag.ts";
import { deleteManifest, getManifest, putManifest } from "./registry-manifests.ts";
import type { RegistrySession } from "./registry-session.ts";

const MAX_PAGES = 100;
// How registries without the API answer its path.
const NO_API = [400, 404, 405, 406, 501];
const MAX_TAG_ROUNDS = 5;

/**
 * Manifests that refer to `subject`, of one artifact type, in the registry's order. Referrers API
 * and fallback tag are asked at once; the API decides where there is one.
 */
export async function listReferrers(
  session: RegistrySession,
  subject: Digest,
  { artifactType, signal }: WaitOptions & { readonly artifactType: string },
): Promise<Descriptor[]> {
  const stop = new AbortController();
  const inner = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const byTag = Promise.allSettled([listByTag(session, subject, { signal: inner })]);
  try {
    const byApi = await listByApi(session, subject, { artifactType, signal: inner });
    if (byApi !== undefined) {
      return byApi.filter((descriptor) => descriptor.artifactType === artifactType);
    }
    const [tagged] = await byTag;
    if (tagged.status === "rejected") {
      throw tagged.reason;
    }
    return tagged.value.filter((descriptor) => descriptor.artifactType === artifactType);
  } finally {
    stop.abort();
    await byTag;
  }
}

/** As the Referrers API has it; `undefined` where the registry has none. */
async function listByApi(
  session: RegistrySession,
  subject: Digest,
  { artifactType, signal }: WaitOptions & { readonly artifactType: string },
): Promise<Descriptor[] | undefined> {
  const found: Descriptor[] = [];
  const what = `referrers of ${subject} in ${session.name}`;
  let path: string | URL = `referrers/${subject}?artifactType=${encodeURIComponent(artifactType)}`;
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await fetchPage(session, path, { signal, what });
    if (answer === undefined) {
      return page === 0 ? undefined : found;
    }
    found.push(...answer.manifests);
    if (answer.next === undefined) {
      return found;
    }
    if (!session.isOwn(answer.next)) {
      throw new SociError(
        "failed-precondition",
        `Cannot list ${what}: page ${page + 2} is at "${answer.next.host}", want "${session.registry}"`,
      );
    }
    path = answer.next;
  }
  throw new SociError("data-loss", `Cannot list ${what}: more than ${MAX_PAGES} pages`);
}

interface ReferrersPage {
  readonly manifests: readonly Descriptor[];
  readonly next: URL | undefined;
}

async function fetchPage(
  session: RegistrySession,
  path: string | URL,
  { signal, what }: WaitOptions & { readonly what: string },
): Promise<ReferrersPage | undefined> {
  try {
    const { bytes, headers, url } = await fetchDocument(session, {
      path,
      headers: { accept: OCI_INDEX },
      maxBytes: MAX_JSON_BYTES,
      signal,
    });
    // A web page in the place of an answer: a server that knows nothing of the API.
    if (mediaTypeOf(headers.get("content-type")) !== OCI_INDEX) {
      return undefined;
    }
    const { manifests } = parseImageIndex(bytes, { what, mediaType: OCI_INDEX });
    return { manifests, next: nextLink(headers.get("link"), url) };
  } catch (error) {
    if (error instanceof HttpError && NO_API.includes(error.status ?? 0)) {
      return undefined;
    }
    throw error;
  }
}

async function listByTag(
  session: RegistrySession,
  subject: Digest,
  options: WaitOptions,
): Promise<readonly Descriptor[]> {
  return (await readTag(session, subject, options))?.manifests ?? [];
}

interface TagState {
  readonly digest: Digest;
  readonly manifests: readonly Descriptor[];
}

async function readTag(
  session: RegistrySession,
  subject: Digest,
  { signal }: WaitOptions,
): Promise<TagState | undefined> {
  const tag = referrersTag(subject);
  try {
    const { descriptor, bytes } = await getManifest(session, tag, { signal });
    const what = `manifest "${tag}" of ${session.name}`;
    const { manifests } = parseImageIndex(bytes, { what, mediaType: descriptor.mediaType });
    return { digest: descriptor.digest, manifests };
  } catch (error) {
    if (error instanceof HttpError && error.status === 404) {
      return undefined;
    }
    throw error;
  }
}

/** Encodes an OCI image index of these manifests. */
export type EncodeIndex = (manifests: readonly Descriptor[]) => Uint8Array;

export interface UpdateReferrersTagOptions extends WaitOptions {
  /** Makes the document; plain JSON when not given. */
  readonly encode?: EncodeIndex;
}

/** What became of the fallback tag. */
export interface ReferrersTagUpdate {
  readonly digest: Digest;
  /** The index that the tag named before, when it was another. */
  readonly previous: Digest | undefined;
  /** Whether the registry removed `previous`. */
  readonly deleted: boolean;
}

/**
 * Lists `referrer` under the fallback tag of `subject`, in the place of an entry with its digest.
 * Read, modified, written, and read again: when another writer came between, once more. The index
 * of before is removed where the registry allows it. @throws unavailable when others always win
 */
export async function updateReferrersTag(
  session: RegistrySession,
  { subject, referrer }: { readonly subject: Digest; readonly referrer: Descriptor },
  { encode = encodePlainIndex, signal }: UpdateReferrersTagOptions = {},
): Promise<ReferrersTagUpdate> {
  for (let round = 0; round < MAX_TAG_ROUNDS; round++) {
    const before = await readTag(session, subject, { signal });
    const bytes = encode(withReferrer(before?.manifests ?? [], referrer));
    const { digest } = await putManifest(session, bytes, {
      mediaType: OCI_INDEX,
      reference: referrersTag(subject),
      signal,
    });
    const after = await readTag(session, subject, { signal });
    if (after?.manifests.some((entry) => entry.digest === referrer.digest)) {
      const previous = before?.digest === digest ? undefined : before?.digest;
      const removable = previous !== undefined && previous !== after.digest;
      const deleted = removable && (await deleteManifest(session, previous, { signal }));
      return { digest, previous, deleted };
    }
    session.log.debug("referrers tag was overwritten", { subject, round });
  }
  throw new SociError(
    "unavailable",
    `Cannot list ${referrer.digest} under the tag "${referrersTag(subject)}" of ${session.name}: others overwrite it`,
  );
}

function withReferrer(manifests: readonly Descriptor[], referrer: Descriptor): Descriptor[] {
  const at = manifests.findIndex(({ digest }) => digest === referrer.digest);
  return at < 0 ? [...manifests, referrer] : manifests.toSpliced(at, 1, referrer);
}

function encodePlainIndex(manifests: readonly Descriptor[]): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }),
  );
}
