import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { tableTrailer } from "../../src/cache/table-file.ts";
import { treePathOf } from "../../src/image/prepared-tree.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { encodeChainTable } from "../../src/tree/encode-chain-table.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";

/** Puts the merged tree of layers in which there are no files into a cache; its path. */
export function writeTree(cacheRoot: string, digests: readonly Digest[]): string {
  const layers = digests.map((digest) => ({
    digest,
    name: digest,
    tree: buildLayerTree([], { name: digest }),
  }));
  const content = encodeChainTable(layers);
  const path = treePathOf(cacheRoot, digests);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, Buffer.concat([content, tableTrailer(content)]));
  return path;
}
