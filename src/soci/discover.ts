import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { INDEX_DIGEST_ANNOTATION, SOCI_INDEX_V1 } from "./annotations.ts";
import type { Artifact } from "./artifact.ts";
import { decodeSociIndex, type SociIndex, sociIndexDescriptor } from "./soci-index.ts";

/** Where a SOCI index was looked for, in the order in which they win. */
export type IndexOrigin = "explicit" | "v2-annotation" | "referrers" | "local";

/** The index that the user named: by digest, or its bytes from a file. */
export type ExplicitIndex =
  { readonly digest: Digest } | { readonly bytes: Uint8Array; readonly name: string };

/** Which origins may be asked, beside an explicit index, which always is. */
export interface DiscoveryModes {
  /** Indexes that refer to the image. */
  readonly v1: boolean;
  /** The index that an annotation of the manifest names. */
  readonly v2: boolean;
  readonly local: boolean;
}

export const ALL_MODES: DiscoveryModes = { v1: true, v2: true, local: true };

/** What discovery asks of a local store. */
export interface LocalIndexes {
  readonly artifacts: { findIndexes(imageManifest: Digest): readonly Artifact[] };
  readIndexBytes(digest: Digest): Promise<Uint8Array>;
}

export interface DiscoverOptions extends WaitOptions {
  /** Where the image is; asked for referrers, and for indexes that are not local. */
  readonly source: ImageSource;
  /** The platform's manifest. */
  readonly imageManifest: Descriptor;
  /** The annotations in that manifest. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly explicit?: ExplicitIndex | undefined;
  readonly store?: LocalIndexes | undefined;
  /** All by default. */
  readonly modes?: DiscoveryModes | undefined;
  /** Told step by step how the decision falls, in the words of the Go snapshotter. */
  readonly log?: Logger | undefined;
}

export interface DiscoveredIndex {
  readonly from: IndexOrigin;
  readonly descriptor: Descriptor;
  readonly index: SociIndex;
}

/** Why an origin gave no index. */
export interface DiscoveryMiss {
  readonly from: IndexOrigin;
  readonly reason: string;
  /** When looking failed, rather than found nothing. */
  readonly error?: unknown;
}

export interface Discovery {
  /** `undefined`: the image has no index that can be used. */
  readonly found: DiscoveredIndex | undefined;
  /** One for each origin that was asked before the one that won. */
  readonly misses: readonly DiscoveryMiss[];
}

/**
 * Finds the SOCI index of an image's manifest. All origins are asked at once; the order decides: the v2
 * annotation in the manifest, then the first v1 index among the referrers, then the local store's
 * newest. An origin that fails is a miss, with its error. An explicit index is the only one looked
 * at, and failing to get it is an error of its own kind.
 */
export async function discoverSociIndex(options: DiscoverOptions): Promise<Discovery> {
  const { explicit, log, signal } = options;
  signal?.throwIfAborted();
  const discovery =
    explicit === undefined
      ? await askAll(options)
      : { found: await explicitIndex(explicit, options), misses: [] };
  const { found } = discovery;
  if (found !== undefined) {
    log?.info("fetching SOCI artifacts using index descriptor", {
      digest: found.descriptor.digest,
    });
  }
  return discovery;
}

async function askAll({ log, ...options }: DiscoverOptions): Promise<Discovery> {
  const { modes = ALL_MODES, signal } = options;
  log?.debug("index digest not provided");
  const stop = new AbortController();
  const inner = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const lookUps = ORIGINS.map(({ from, mode, look, words }) => ({
    from,
    words,
    result: modes[mode] ? settle(from, look({ ...options, signal: inner })) : undefined,
  }));
  try {
    const misses: DiscoveryMiss[] = [];
    for (const { from, words, result: asked } of lookUps) {
      log?.debug(asked === undefined ? words.off : words.begin);
      const result = (await asked) ?? { from, reason: words.off };
      signal?.throwIfAborted();
      if ("index" in result) {
        log?.debug(words.found, { digest: result.descriptor.digest });
        return { found: result, misses };
      }
      if (asked !== undefined) log?.debug(words.none, { reason: result.reason });
      misses.push(result);
    }
    return { found: undefined, misses };
  } finally {
    stop.abort();
    await Promise.all(lookUps.map(({ result }) => result));
  }
}

/** An index, or why there is none. */
type LookUp = Promise<DiscoveredIndex | string>;

interface Origin {
  readonly from: IndexOrigin;
  readonly mode: keyof DiscoveryModes;
  readonly look: (options: DiscoverOptions) => LookUp;
  /** For the log: users of the Go snapshotter look for these. */
  readonly words: Readonly<Record<"off" | "begin" | "found" | "none", string>>;
}

const ORIGINS: readonly Origin[] = [
  {
    from: "v2-annotation",
    mode: "v2",
    look: annotatedIndex,
    words: {
      off: "soci v2 is disabled",
      begin: "checking for soci v2 index annotation",
      found: "using soci v2 index annotation",
      none: "soci v2 index annotation not found",
    },
  },
  {
    from: "referrers",
    mode: "v1",
    look: referringIndex,
    words: {
      off: "soci v1 is disabled",
      begin: "checking for soci v1 index via referrers API",
      found: "using soci v1 index via referrers API",
      none: "soci v1 referrers not found",
    },
  },
  {
    from: "local",
    mode: "local",
    look: localIndex,
    words: {
      off: "local soci indexes are disabled",
      begin: "checking for a soci index in the local store",
      found: "using soci index of the local store",
      none: "no soci index in the local store",
    },
  },
];

async function settle(from: IndexOrigin, lookUp: LookUp): Promise<DiscoveredIndex | DiscoveryMiss> {
  try {
    const result = await lookUp;
    return typeof result === "string" ? { from, reason: result } : result;
  } catch (error) {
    return { from, reason: error instanceof Error ? error.message : String(error), error };
  }
}

async function explicitIndex(
  explicit: ExplicitIndex,
  options: DiscoverOptions,
): Promise<DiscoveredIndex> {
  if ("bytes" in explicit) {
    return discovered("explicit", explicit.bytes, `SOCI index "${explicit.name}"`);
  }
  const { digest } = explicit;
  options.log?.debug("using provided soci index digest", { digest });
  return discovered("explicit", await readAnywhere(digest, options), `SOCI index ${digest}`);
}

async function annotatedIndex(options: DiscoverOptions): LookUp {
  const text = options.annotations?.[INDEX_DIGEST_ANNOTATION];
  if (text === undefined || text === "") return "the manifest has no index annotation";
  if (!isDigest(text)) {
    throw new SociError(
      "data-loss",
      `Cannot use annotation ${INDEX_DIGEST_ANNOTATION}: it is ${JSON.stringify(text.slice(0, 100))}, want a digest`,
    );
  }
  return discovered("v2-annotation", await readAnywhere(text, options), `SOCI index ${text}`);
}

async function referringIndex(options: DiscoverOptions): LookUp {
  const { source, imageManifest, signal } = options;
  const [first] = await source.referrers(imageManifest.digest, SOCI_INDEX_V1, { signal });
  if (first === undefined) return "no SOCI index refers to the manifest";
  const bytes = await source.manifest(first, { signal });
  const found = discovered("referrers", bytes, `SOCI index ${first.digest} of ${source.name}`);
  checkSubject(found, imageManifest);
  return found;
}

async function localIndex({ store, imageManifest }: DiscoverOptions): LookUp {
  const [newest] = store?.artifacts.findIndexes(imageManifest.digest) ?? [];
  if (store === undefined || newest === undefined) return "the local store has none";
  const bytes = await store.readIndexBytes(newest.digest);
  const found = discovered("local", bytes, `SOCI index ${newest.digest} of the local store`);
  checkSubject(found, imageManifest);
  return found;
}

/** From the local store when it is there, which costs no round trip; else from the image's source. */
async function readAnywhere(
  digest: Digest,
  { source, store, signal }: DiscoverOptions,
): Promise<Uint8Array> {
  try {
    if (store !== undefined) return await store.readIndexBytes(digest);
  } catch (error) {
    if (!isKind(error, "not-found")) throw error;
  }
  return await source.manifest({ digest }, { signal });
}

function discovered(from: IndexOrigin, bytes: Uint8Array, what: string): DiscoveredIndex {
  const index = decodeSociIndex(bytes, what);
  return { from, descriptor: sociIndexDescriptor(bytes, index.version), index };
}

// A v1 index of another image would name layers that this one does not have, or worse, has.
function checkSubject({ index, descriptor }: DiscoveredIndex, imageManifest: Descriptor): void {
  if (index.version === "v1" && index.subject?.digest !== imageManifest.digest) {
    throw new SociError(
      "data-loss",
      `Cannot use SOCI index ${descriptor.digest}: its subject is ${index.subject?.digest}, want ${imageManifest.digest}`,
    );
  }
}
