import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type LayerKey, layerOfKey } from "../../src/cache/layer-key.ts";
import { tableTrailer } from "../../src/cache/table-file.ts";
import { treePathOf } from "../../src/image/prepared-tree.ts";
import { encodeChainTable } from "../../src/tree/encode-chain-table.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";

/** Puts the merged tree of layers in which there are no files into a cache; its path. */
export function writeTree(cacheRoot: string, keys: readonly LayerKey[]): string {
  const layers = keys.map((key) => ({
    digest: key,
    tree: buildLayerTree([], { name: layerOfKey(key) }),
  }));
  const content = encodeChainTable(layers);
  const path = treePathOf(cacheRoot, keys);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, Buffer.concat([content, tableTrailer(content)]));
  return path;
}
