import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { fetchDocument } from "./fetch-document.ts";
import { HttpError } from "./http-error.ts";
import { MAX_JSON_BYTES } from "./json-document.ts";
import { nextLink } from "./link-header.ts";
import { parseImageIndex } from "./manifest.ts";
import { mediaTypeOf, OCI_INDEX } from "./media-types.ts";
import { readReferrersTag } from "./referrers-tag.ts";
import type { RegistrySession } from "./registry-session.ts";

const MAX_PAGES = 100;
// How registries without the API answer its path.
const NO_API = [400, 404, 405, 406, 501];

export interface ListReferrersOptions extends WaitOptions {
  readonly artifactType: string;
}

/**
 * Manifests that refer to `subject`, of one artifact type, in the registry's order. Referrers API
 * and fallback tag are asked at once; the API decides where there is one.
 */
export async function listReferrers(
  session: RegistrySession,
  subject: Digest,
  options: ListReferrersOptions,
): Promise<Descriptor[]> {
  const found = await listOnce(session, subject, options);
  if (found.length > 0 || !session.hasMirrors) {
    return found;
  }
  try {
    // Caching mirrors answer for themselves: none of them knows what was pushed a minute ago.
    return await listOnce(session.forOrigin(), subject, options);
  } catch (error) {
    if (!isKind(error, "unavailable")) {
      throw error;
    }
    session.log.warn("mirrors know no referrers, and the registry cannot be asked", { error });
    return found;
  }
}

async function listOnce(
  session: RegistrySession,
  subject: Digest,
  { artifactType, signal }: ListReferrersOptions,
): Promise<Descriptor[]> {
  const stop = new AbortController();
  const inner = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const byTag = Promise.allSettled([listByTag(session, subject, { signal: inner })]);
  const isWanted = (descriptor: Descriptor): boolean => descriptor.artifactType === artifactType;
  try {
    const byApi = await listByApi(session, subject, { artifactType, signal: inner });
    if (byApi !== undefined) {
      return byApi.filter(isWanted);
    }
    const [tagged] = await byTag;
    if (tagged.status === "rejected") {
      throw tagged.reason;
    }
    return tagged.value.filter(isWanted);
  } catch (error) {
    const [tagged] = await byTag;
    const listed = tagged.status === "fulfilled" ? tagged.value.filter(isWanted) : [];
    if (listed.length === 0 || !isKind(error, "unavailable")) {
      throw error;
    }
    // As behind a mirror that has the tag, when the registry itself is out of reach.
    session.log.warn("referrers are taken from the fallback tag", { subject, error });
    return listed;
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
  return (await readReferrersTag(session, subject, options))?.manifests ?? [];
}
