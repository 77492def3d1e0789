import { join } from "node:path";
import { treesDirectory } from "../cache/cache-paths.ts";
import { systemFailure } from "../cache/system-failure.ts";
import { leaseTable, mapTable } from "../cache/table-file.ts";
import { writeTable } from "../cache/write-table.ts";
import { isKind } from "../errors.ts";
import { type Digest, digestOf, hexOf } from "../oci/digest.ts";

/**
 * Manifests of images that were prepared, kept beside their trees and evicted as those are: an image
 * that is all there is then found there by its digest, without a request.
 */
export class ManifestMemory {
  readonly #cacheRoot: string;

  constructor(cacheRoot: string) {
    this.#cacheRoot = cacheRoot;
  }

  /** The bytes of a manifest; undefined when it is not here, or not what it was. */
  read(digest: Digest): Uint8Array | undefined {
    try {
      const bytes = new Uint8Array(mapTable(this.#pathOf(digest)));
      return digestOf(bytes) === digest ? bytes : undefined;
    } catch (error) {
      if (isKind(error, "not-found", "data-loss")) return undefined;
      throw error;
    }
  }

  /** Keeps a manifest, or notes that it was used. @throws failed-precondition when there is no room */
  async keep(digest: Digest, bytes: Uint8Array): Promise<void> {
    const path = this.#pathOf(digest);
    if (this.read(digest) === undefined) {
      try {
        await writeTable(path, bytes, { cacheRoot: this.#cacheRoot });
      } catch (error) {
        throw systemFailure(`keep manifest ${digest} in the cache`, error);
      }
      return;
    }
    try {
      leaseTable(path)[Symbol.dispose]();
    } catch (error) {
      // Evicted at this very moment.
      if (!isKind(error, "not-found")) throw error;
    }
  }

  #pathOf(digest: Digest): string {
    return join(treesDirectory(this.#cacheRoot), `manifest-${hexOf(digest)}`);
  }
}
