import { isDeepStrictEqual } from "node:util";
import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { HttpError } from "./http-error.ts";
import { OCI_INDEX } from "./media-types.ts";
import { readReferrersTag, type ReferrersTagState, referrersTag } from "./referrers-tag.ts";
import { deleteManifest, putManifest } from "./registry-manifests.ts";
import type { RegistrySession } from "./registry-session.ts";

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

const MAX_ROUNDS = 10;
const LONGEST_PAUSE_MS = 1000;
const SHORTEST_SETTLE_MS = 100;
const LONGEST_SETTLE_MS = 2000;

/**
 * Lists `referrer` under the fallback tag of `subject`, in the place of an entry with its digest.
 * Read, modified, and written only if nobody came between, where the registry looks at conditions.
 * Where it does not, somebody who read before us may write after us: so the tag is read again when
 * such a write has had the time to arrive, and all is done once more if our entry is gone. The index
 * of before is removed where the registry allows it. @throws unavailable when others always win
 */
export async function updateReferrersTag(
  session: RegistrySession,
  { subject, referrer }: { readonly subject: Digest; readonly referrer: Descriptor },
  { encode = encodePlainIndex, signal }: UpdateReferrersTagOptions = {},
): Promise<ReferrersTagUpdate> {
  const reference = referrersTag(subject);
  let isHonoured = false;
  let refused: ReferrersTagState | "absent" | undefined;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    await delay(pauseMs(round), { signal });
    const started = performance.now();
    const before = await readReferrersTag(session, subject, { signal });
    if (before?.manifests.some((entry) => isDeepStrictEqual(entry, referrer))) {
      return { digest: before.digest, previous: undefined, deleted: false };
    }
    const bytes = encode(withReferrer(before?.manifests ?? [], referrer));
    // Refused although nothing had changed: this registry's conditions are not to be understood.
    const isAgain = refused !== undefined && keyOf(refused) === keyOf(before ?? "absent");
    const onlyIf = isAgain ? undefined : conditionOf(before);
    let digest: Digest;
    try {
      ({ digest } = await putManifest(session, bytes, {
        mediaType: OCI_INDEX,
        reference,
        onlyIf,
        signal,
      }));
    } catch (error) {
      if (!(error instanceof HttpError) || error.status !== 412 || onlyIf === undefined) {
        throw error;
      }
      isHonoured = true;
      refused = before ?? "absent";
      session.log.debug("referrers tag was written by another", { subject, round });
      continue;
    }
    if (!isHonoured || isAgain) {
      await delay(settleMs(performance.now() - started), { signal });
    }
    const after = await readReferrersTag(session, subject, { signal });
    if (after?.manifests.some((entry) => entry.digest === referrer.digest)) {
      const previous = before?.digest === digest ? undefined : before?.digest;
      const removable = previous !== undefined && previous !== after.digest;
      const deleted = removable && (await removeIfAllowed(session, previous, { signal }));
      return { digest, previous, deleted };
    }
    session.log.debug("referrers tag was overwritten", { subject, round });
  }
  throw new SociError(
    "unavailable",
    `Cannot list ${referrer.digest} under the tag "${reference}" of ${session.name}: others overwrite it`,
    { hint: "Push again when nobody else pushes to this image" },
  );
}

// The tag is as it should be: what is left over must not make a failure of it.
async function removeIfAllowed(
  session: RegistrySession,
  digest: Digest,
  { signal }: WaitOptions,
): Promise<boolean> {
  try {
    return await deleteManifest(session, digest, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof SociError)) {
      throw error;
    }
    session.log.debug("previous referrers index stays", { digest, error });
    return false;
  }
}

function conditionOf(before: ReferrersTagState | undefined) {
  if (before === undefined) {
    return "absent";
  }
  return before.etag === undefined ? undefined : { etag: before.etag };
}

function keyOf(state: ReferrersTagState | "absent"): string {
  return state === "absent" ? state : state.digest;
}

// Those who were refused or overwritten together shall not come back together.
function pauseMs(round: number): number {
  return round === 0 ? 0 : Math.random() * Math.min(25 * 2 ** round, LONGEST_PAUSE_MS);
}

// Others take about as long as we from reading to writing.
function settleMs(tookMs: number): number {
  const ms = Math.min(Math.max(2 * tookMs, SHORTEST_SETTLE_MS), LONGEST_SETTLE_MS);
  return ms * (1 + Math.random() / 2);
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
