import type { WaitOptions } from "../../async/wait-options.ts";
import type { Digest } from "../../oci/digest.ts";
import type { ArtifactDatabase } from "../../soci/artifact-database.ts";
import type { ArtifactSink } from "../../soci/artifact-sink.ts";
import type { LocalStore } from "../../soci/local-store.ts";
import type { SociIndex } from "../../soci/soci-index.ts";

/** SOCI artifacts and what they were made of, wherever the bytes are: the local store, or containerd's. */
export interface SociStore extends ArtifactSink, AsyncDisposable {
  /** The list. It may hold what is not there any more: see refresh(). */
  readonly artifacts: ArtifactDatabase;

  /** The store, where it is the local one. */
  readonly local: LocalStore | undefined;

  /** Bytes of an artifact that is there. */
  blobSize(digest: Digest, options?: WaitOptions): Promise<number | undefined>;

  /** The exact bytes of a SOCI index or prefetch artifact. @throws not-found, data-loss */
  readIndexBytes(digest: Digest): Promise<Uint8Array>;

  /** @throws not-found, data-loss, unsupported */
  readIndex(digest: Digest): Promise<SociIndex>;

  /** Takes from the list what others have removed. */
  refresh(options?: WaitOptions): Promise<void>;

  /** Removes an artifact; whether it was listed. What an index names stays: others may name it, too. */
  remove(digest: Digest, options?: WaitOptions): Promise<boolean>;

  /** Makes the list from what is there. */
  rebuild(options?: WaitOptions): Promise<void>;
}
