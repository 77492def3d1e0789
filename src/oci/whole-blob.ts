import type { WaitOptions } from "../async/wait-options.ts";
import { isKind } from "../errors.ts";
import { downloadBlob } from "./blob-download.ts";
import type { BlobRequests } from "./blob-requests.ts";
import type { Descriptor } from "./descriptor.ts";
import { downloadWhole, type ParallelPolicy } from "./parallel-download.ts";
import { verifyStream } from "./verified-stream.ts";

export interface WholeBlobOptions extends WaitOptions {
  readonly policy: ParallelPolicy;
}

// zTOCs, configs, indexes: held back until verified, so that wrong bytes can be asked for again.
const MAX_HELD = 4 * 1024 * 1024;

/**
 * A whole blob, verified. A small one comes only when it is right, and is fetched once more, past
 * all caches, when it was not; of a large one the last chunk comes only when size and digest are
 * right. @throws data-loss
 */
export async function* readWholeBlob(
  requests: BlobRequests,
  blob: Descriptor,
  { policy, signal }: WholeBlobOptions,
): AsyncGenerator<Uint8Array> {
  if (blob.size <= MAX_HELD && blob.size < policy.minBytes) {
    for (const chunk of await readSmallBlob(requests, blob, { signal })) {
      yield chunk;
      signal?.throwIfAborted();
    }
  } else {
    yield* verifyStream(
      downloadWhole(requests, blob, { policy, signal }),
      blob,
      nameOf(requests, blob),
    );
  }
}

async function readSmallBlob(
  requests: BlobRequests,
  blob: Descriptor,
  { signal }: WaitOptions,
): Promise<Uint8Array[]> {
  const fetchAll = (isFresh: boolean): Promise<Uint8Array[]> => {
    const chunks = downloadBlob(requests, blob, { start: 0, end: blob.size, isFresh, signal });
    return Array.fromAsync(verifyStream(chunks, blob, nameOf(requests, blob)));
  };
  try {
    return await fetchAll(false);
  } catch (error) {
    if (!isKind(error, "data-loss")) {
      throw error;
    }
    const { digest } = blob;
    requests.session.log.warn("blob was wrong and is fetched again", { digest, error });
    return await fetchAll(true);
  }
}

function nameOf({ session }: BlobRequests, { digest }: Descriptor): string {
  return `blob ${digest} of ${session.name}`;
}
