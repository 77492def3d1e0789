import { join } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { treesDirectory } from "../cache/cache-paths.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import type { LayerKey } from "../cache/layer-key.ts";
import { leaseTable, mapTable } from "../cache/table-file.ts";
import { isKind, SociError } from "../errors.ts";
import { ChainTable } from "../tree/chain-table.ts";
import { chainKeyOf } from "./image-layers.ts";
import type { TableBuilder } from "./table-builder.ts";

/** The merged tree of a chain of layers, on disk. Until it is disposed of it stays there. */
export interface PreparedTree extends Disposable {
  /** Names the chain. */
  readonly treeKey: string;
  /** The file of its ChainTable. */
  readonly treePath: string;
}

interface MakeTreeOptions extends WaitOptions {
  readonly cache: Pick<LayerCache, "root">;
  /** All in the cache, and kept there by the caller. */
  readonly layers: readonly LayerKey[];
  readonly tables: TableBuilder;
}

export interface EnsureTreeOptions extends Omit<MakeTreeOptions, "tables"> {
  /** Called only when there is something to do; disposed of at the end. */
  readonly startTables: () => TableBuilder;
}

/** How often a tree may be taken away between being made and being kept. */
const MAX_REMOVED = 3;

/** Where the merged tree of a chain is kept. */
export function treePathOf(cacheRoot: string, layers: readonly LayerKey[]): string {
  return join(treesDirectory(cacheRoot), chainKeyOf(layers));
}

/**
 * The merged tree of layers, the lowest first, out of the cache alone: the one that is there, if it is
 * sound. @throws not-found when a layer is gone, data-loss when one's files are damaged
 */
export async function ensureTree(options: EnsureTreeOptions): Promise<PreparedTree> {
  const { cache, layers, startTables, signal } = options;
  signal?.throwIfAborted();
  const there = openTree(cache.root, layers);
  if (there !== undefined) return there;
  await using tables = startTables();
  return await makeTree({ ...options, tables });
}

/** The same, with a builder that may know some of the layers already. */
async function makeTree({ cache, layers, tables, signal }: MakeTreeOptions): Promise<PreparedTree> {
  for (let removed = 0; removed < MAX_REMOVED; removed++) {
    const there = openTree(cache.root, layers);
    if (there !== undefined) return there;
    const adding = [...new Set(layers)].map((key) => tables.addCached(key, { signal }));
    const failed = (await Promise.allSettled(adding)).find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
    await tables.merge(layers, treePathOf(cache.root, layers), { signal });
  }
  throw new SociError(
    "unavailable",
    "Cannot merge layers: their tree is removed from the cache again and again",
  );
}

/** The tree if it is there and sound: a damaged one is made again. */
export function openTree(cacheRoot: string, layers: readonly LayerKey[]): PreparedTree | undefined {
  const tree = keepTree(cacheRoot, layers);
  if (tree === undefined) return undefined;
  using checking = new DisposableStack();
  checking.use(tree);
  try {
    ChainTable.open(mapTable(tree.treePath));
  } catch (error) {
    if (isKind(error, "not-found", "data-loss")) return undefined;
    throw error;
  }
  checking.move();
  return tree;
}

/** The tree if it is there, not looked into. */
export function keepTree(cacheRoot: string, layers: readonly LayerKey[]): PreparedTree | undefined {
  const treePath = treePathOf(cacheRoot, layers);
  try {
    const lease = leaseTable(treePath);
    const dispose = () => lease[Symbol.dispose]();
    return { treeKey: chainKeyOf(layers), treePath, [Symbol.dispose]: dispose };
  } catch (error) {
    if (isKind(error, "not-found")) return undefined;
    throw error;
  }
}
