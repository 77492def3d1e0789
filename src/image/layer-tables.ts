import { layerDirectory, layerPaths } from "../cache/cache-paths.ts";
import { createLayer } from "../cache/create-layer.ts";
import { geometryOf } from "../cache/encode-geometry.ts";
import { systemFailure } from "../cache/system-failure.ts";
import { mapTable } from "../cache/table-file.ts";
import { writeTable } from "../cache/write-table.ts";
import { SociError } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";
import { encodeChainTable } from "../tree/encode-chain-table.ts";
import { encodeLayerTable } from "../tree/encode-layer-table.ts";
import type { LayerTree } from "../tree/layer-node.ts";
import { buildLayerTree } from "../tree/layer-tree.ts";
import { layerEntriesOf } from "./layer-entries.ts";
import { decodeLayerZtoc, isUseless } from "./open-layer.ts";
import type { TableBuilder, TableLayer } from "./table-builder.ts";

/** A TableBuilder in this thread. Trees are built before a call first waits, so merging need not wait for files. */
export class LayerTables implements TableBuilder {
  readonly #cacheRoot: string;
  readonly #trees = new Map<Digest, LayerTree>();

  constructor({ cacheRoot }: { readonly cacheRoot: string }) {
    this.#cacheRoot = cacheRoot;
  }

  async addZtoc(
    { digest, size }: TableLayer,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<string | undefined> {
    try {
      const ztoc = decodeLayerZtoc({ size }, bytes);
      const tree = buildLayerTree(ztoc.files, { name: digest });
      this.#trees.set(digest, tree);
      await createLayer(this.#cacheRoot, digest, {
        geometry: geometryOf(ztoc),
        // Written once more rather than made into something smaller while a mount waits.
        entries: bytes,
        inodes: encodeLayerTable(tree),
      });
      return undefined;
    } catch (error) {
      this.#trees.delete(digest);
      if (isUseless(error)) return error.message;
      throw error;
    }
  }

  async addCached(digest: Digest): Promise<void> {
    if (this.#trees.has(digest)) return;
    const { entries } = layerPaths(layerDirectory(this.#cacheRoot, digest));
    const files = layerEntriesOf(mapTable(entries));
    this.#trees.set(digest, buildLayerTree(files, { name: digest }));
  }

  async merge(layers: readonly Digest[], path: string): Promise<void> {
    const chain = layers.map((digest) => {
      const tree = this.#trees.get(digest);
      if (tree !== undefined) return { digest, tree };
      throw new SociError("unavailable", `Cannot merge layers: ${digest} has not been added`);
    });
    const table = encodeChainTable(chain);
    try {
      await writeTable(path, table, { cacheRoot: this.#cacheRoot });
    } catch (error) {
      throw systemFailure("keep the merged tree in the cache", error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#trees.clear();
  }
}
