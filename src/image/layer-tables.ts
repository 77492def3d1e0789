import { layerDirectory, layerPaths } from "../cache/cache-paths.ts";
import { createLayer } from "../cache/create-layer.ts";
import { geometryOf } from "../cache/encode-geometry.ts";
import { type LayerKey, layerOfKey } from "../cache/layer-key.ts";
import { systemFailure } from "../cache/system-failure.ts";
import { mapTable } from "../cache/table-file.ts";
import { writeTable } from "../cache/write-table.ts";
import { SociError } from "../errors.ts";
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
  readonly #trees = new Map<LayerKey, LayerTree>();

  constructor({ cacheRoot }: { readonly cacheRoot: string }) {
    this.#cacheRoot = cacheRoot;
  }

  async addZtoc(
    { key, size }: TableLayer,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<string | undefined> {
    try {
      const ztoc = decodeLayerZtoc({ size }, bytes);
      const tree = buildLayerTree(ztoc.files, { name: layerOfKey(key) });
      this.#trees.set(key, tree);
      await createLayer(this.#cacheRoot, key, {
        geometry: geometryOf(ztoc),
        // Written once more rather than made into something smaller while a mount waits.
        entries: bytes,
        inodes: encodeLayerTable(tree),
      });
      return undefined;
    } catch (error) {
      this.#trees.delete(key);
      if (isUseless(error)) return error.message;
      throw error;
    }
  }

  async addCached(key: LayerKey): Promise<void> {
    if (this.#trees.has(key)) return;
    const { entries } = layerPaths(layerDirectory(this.#cacheRoot, key));
    const files = layerEntriesOf(mapTable(entries));
    this.#trees.set(key, buildLayerTree(files, { name: layerOfKey(key) }));
  }

  async merge(layers: readonly LayerKey[], path: string): Promise<void> {
    const chain = layers.map((key) => {
      const tree = this.#trees.get(key);
      if (tree !== undefined) return { digest: key, tree };
      throw new SociError(
        "unavailable",
        `Cannot merge layers: ${layerOfKey(key)} has not been added`,
      );
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
