import type { WaitOptions } from "../../async/wait-options.ts";
import { LocalStore } from "../../soci/local-store.ts";
import { openDamagedStore, rebuildDatabase } from "../../soci/rebuild-database.ts";
import type { SociStore } from "./soci-store.ts";

export interface LocalSociStoreOptions extends WaitOptions {
  readonly root: string;
  /** Whether a list that is damaged is put aside and made anew. */
  readonly isDamaged?: boolean;
}

/** The local store below a root, as `--content-store soci` means it. */
export async function openLocalSociStore({
  root,
  isDamaged = false,
  signal,
}: LocalSociStoreOptions): Promise<SociStore> {
  const store = await (isDamaged ? openDamagedStore : LocalStore.open)({ root, signal });
  return {
    local: store,
    artifacts: store.artifacts,
    findZtoc: (layer, spanSize) => store.findZtoc(layer, spanSize),
    readZtoc: (digest) => store.readZtoc(digest),
    openBlob: (digest) => store.openBlob(digest),
    putZtoc: (chunks, options) => store.putZtoc(chunks, options),
    putPrefetch: (bytes, options) => store.putPrefetch(bytes, options),
    putIndex: (index, options) => store.putIndex(index, options),
    blobSize: (digest) => store.content.blobSize(digest),
    readIndexBytes: (digest) => store.readIndexBytes(digest),
    readIndex: (digest) => store.readIndex(digest),
    // What is listed is there: nobody else removes anything.
    refresh: async () => undefined,
    remove: (digest, options) => store.remove(digest, options),
    rebuild: async (options) => {
      await rebuildDatabase(store, options);
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
