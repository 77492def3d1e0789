import { openPrivateTable } from "../cache/private-table.ts";
import { leaseTable, mapTable } from "../cache/table-file.ts";
import { SociError } from "../errors.ts";
import { ChainTable } from "../tree/chain-table.ts";
import type { ServedLayerLease } from "./served-layers.ts";

/** The merged tree of a chain, open until it is disposed of. */
export interface OpenChainTree extends Disposable {
  /** For mapTable(), in every thread of this process. */
  readonly path: string;
  /** Stands for its content. */
  readonly content: string;
}

const NO_CHECK = { verify: false };

/**
 * Opens the tree of these layers, bottom first, and keeps it from being removed.
 * @throws not-found; data-loss when it is damaged, or of other layers
 */
export async function openChainTree(
  treePath: string,
  layers: readonly Pick<ServedLayerLease, "layer">[],
  cacheRoot: string,
): Promise<OpenChainTree> {
  using opened = new DisposableStack();
  opened.use(leaseTable(treePath));
  const { path } = opened.use(await openPrivateTable(treePath, cacheRoot));
  const bytes = mapTable(path, NO_CHECK);
  const table = ChainTable.open(bytes);
  const keys = layers.map(({ layer }) => layer.key);
  if (table.layers.join() !== keys.join()) {
    throw new SociError(
      "data-loss",
      `Cannot show tree "${treePath}": it is of ${table.layers.length} other layers than these ${keys.length}`,
    );
  }
  const content = String(Bun.hash(bytes));
  const held = opened.move();
  return { path, content, [Symbol.dispose]: () => held.dispose() };
}
