import { mapConcurrent } from "../async/map-concurrent.ts";
import { Semaphore } from "../async/semaphore.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { OCI_INDEX } from "../oci/media-types.ts";
import type { RegistryClient } from "../oci/registry.ts";
import type { ReferrersTagUpdate } from "../oci/update-referrers-tag.ts";
import { encodeImageIndex } from "./go-json.ts";
import type { LayerProgress } from "./index-layers.ts";
import { decodeSociIndex, sociConfigDescriptor, sociIndexDescriptor } from "./soci-index.ts";

/** What a push takes its bytes from: a LocalStore, or anything like it. */
export interface PushStore {
  readIndexBytes(digest: Digest): Promise<Uint8Array>;
  /** Bytes of an artifact; `undefined` when it is not there. */
  blobSize(digest: Digest): Promise<number | undefined>;
  /** The bytes of an artifact that is there, in order, not verified. */
  openBlob(digest: Digest): AsyncIterable<Uint8Array>;
}

/** A blob or manifest of the push is about to be sent, or done. */
export interface PushEvent {
  readonly descriptor: Descriptor;
  /** `skipped`: the repository had it. */
  readonly outcome: "pushing" | "pushed" | "skipped";
}

export interface PushOptions extends WaitOptions {
  readonly client: Pick<
    RegistryClient,
    "name" | "headBlob" | "uploadBlob" | "putManifest" | "updateReferrersTag"
  >;
  readonly store: PushStore;
  readonly maxConcurrentUploads?: number;
  /** Called in the order of what happens, for the index last. */
  readonly onEvent?: (event: PushEvent) => void;
  /** A blob's sending begins; what is returned is told of its bytes and its end. */
  readonly onSend?: (blob: Descriptor) => LayerProgress;
}

export interface PushResult {
  readonly index: Descriptor;
  /** The fallback tag, where the registry has no Referrers API. */
  readonly referrersTag: ReferrersTagUpdate | undefined;
}

export const DEFAULT_MAX_CONCURRENT_UPLOADS = 3;

// Questions cost a registry little, and the line nothing.
const PARALLEL_QUESTIONS = 16;

/**
 * Pushes a v1 SOCI index to its image's repository: its zTOCs, its config, then its manifest, so that
 * nobody sees an index without its zTOCs; then, where the registry has not listed it as a referrer
 * by itself, the fallback tag. Pushing twice changes nothing.
 * @throws failed-precondition for a v2 index, not-found when the store lacks a blob, and what the client throws
 */
export async function pushSociIndex(digest: Digest, options: PushOptions): Promise<PushResult> {
  const { client, store, onEvent, signal } = options;
  const bytes = await store.readIndexBytes(digest);
  const index = decodeSociIndex(bytes, `SOCI index ${digest}`);
  const { subject, version } = index;
  if (version !== "v1" || subject === undefined) {
    throw new SociError(
      "failed-precondition",
      `Cannot push SOCI index ${digest}: it is a v2 index, want v1`,
      { hint: "A v2 index is part of its converted image: push the image" },
    );
  }
  await pushBlobs(uniqueByDigest([...index.blobs, sociConfigDescriptor(version)]), options);
  const descriptor = sociIndexDescriptor(bytes, version);
  onEvent?.({ descriptor, outcome: "pushing" });
  const { mediaType } = descriptor;
  const answer = await client.putManifest(bytes, { mediaType, signal });
  const referrer = { ...descriptor, annotations: index.annotations };
  // The header says that the registry lists referrers itself; without it that is the client's work.
  // https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject
  const referrersTag =
    answer.subject === subject.digest
      ? undefined
      : await client.updateReferrersTag(
          { subject: subject.digest, referrer },
          {
            encode: (manifests) => encodeImageIndex({ mediaType: OCI_INDEX, manifests }),
            signal,
          },
        );
  onEvent?.({ descriptor, outcome: "pushed" });
  return { index: descriptor, referrersTag };
}

/** Asks for all blobs at once, and sends those that are not there, a few at a time. */
async function pushBlobs(blobs: readonly Descriptor[], options: PushOptions): Promise<void> {
  const { client, store, onEvent, onSend, signal } = options;
  const uploads = new Semaphore(options.maxConcurrentUploads ?? DEFAULT_MAX_CONCURRENT_UPLOADS);
  await mapConcurrent(
    blobs,
    async (blob, inner) => {
      await checkBlob(store, blob);
      if ((await client.headBlob(blob.digest, { signal: inner })) === blob.size) {
        onEvent?.({ descriptor: blob, outcome: "skipped" });
        return;
      }
      using _turn = await uploads.acquire({ signal: inner });
      onEvent?.({ descriptor: blob, outcome: "pushing" });
      const progress = onSend?.(blob);
      try {
        const open = () => counted(store.openBlob(blob.digest), progress);
        await client.uploadBlob(blob, open, { isAbsent: true, signal: inner });
      } finally {
        progress?.end();
      }
      onEvent?.({ descriptor: blob, outcome: "pushed" });
    },
    { limit: PARALLEL_QUESTIONS, signal },
  );
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  progress: LayerProgress | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    progress?.add(chunk.length);
    yield chunk;
  }
}

async function checkBlob(store: PushStore, blob: Descriptor): Promise<void> {
  const size = await store.blobSize(blob.digest);
  if (size === blob.size) return;
  const is = size === undefined ? "it is not in the local store" : `it has ${size} bytes`;
  throw new SociError(
    size === undefined ? "not-found" : "data-loss",
    `Cannot push blob ${blob.digest}: ${is}, want ${blob.size} bytes`,
  );
}

function uniqueByDigest(blobs: readonly Descriptor[]): Descriptor[] {
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}
