import type { WaitOptions } from "../../async/wait-options.ts";
import { SociError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { TemporaryStage } from "../../oci/temporary-stage.ts";
import { type LocalStore, openLocalStore } from "../../soci/local-store.ts";
import {
  decodeSociIndex,
  sociConfigDescriptor,
  sociIndexDescriptor,
} from "../../soci/soci-index.ts";
import type { SociStore } from "./soci-store.ts";

/** A local store from which indexes are pushed. */
export interface PushStage extends AsyncDisposable {
  readonly store: LocalStore;
  /** Has an index there, with all it names. @throws not-found, data-loss */
  add(index: Digest, options?: WaitOptions): Promise<void>;
}

export interface PushStageOptions extends WaitOptions {
  /** Where files may be put meanwhile. */
  readonly root: string;
}

/** The local store itself; of another store, a temporary copy of what is pushed: a push reads files. */
export async function openPushStage(
  store: SociStore,
  { root, signal }: PushStageOptions,
): Promise<PushStage> {
  const { local } = store;
  if (local !== undefined) {
    return {
      store: local,
      add: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  await using cleanup = new AsyncDisposableStack();
  const { directory } = cleanup.use(await TemporaryStage.make(root));
  const copy = cleanup.use(await openLocalStore({ root: directory, signal }));
  const owned = cleanup.move();
  return {
    store: copy,
    add: (index, options) => copyIndex(index, { from: store, to: copy, ...options }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function copyIndex(
  digest: Digest,
  {
    from,
    to: { content },
    signal,
  }: WaitOptions & { readonly from: SociStore; readonly to: LocalStore },
): Promise<void> {
  const bytes = await from.readIndexBytes(digest);
  const index = decodeSociIndex(bytes, `SOCI index ${digest}`);
  const config = sociConfigDescriptor(index.version);
  for (const blob of [...index.blobs, config]) {
    if ((await from.blobSize(blob.digest, { signal })) === undefined) {
      throw new SociError("not-found", `content digest ${blob.digest}: not found`);
    }
    if ((await content.blobSize(blob.digest)) === blob.size) continue;
    const { mediaType, size } = blob;
    const expected = { mediaType, digest: blob.digest, size };
    await content.putBlob(expected, from.openBlob(blob.digest), { signal });
  }
  await content.putBlob(sociIndexDescriptor(bytes, index.version), [bytes], { signal });
}
