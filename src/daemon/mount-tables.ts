import { openPrivateTable } from "../cache/private-table.ts";
import { mapTable } from "../cache/table-file.ts";
import type { MountableImage } from "../image/reopen-image.ts";
import { MAX_TABLES } from "../lazyfs/node-id.ts";
import { SociError } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";
import type { MountTable } from "../threads/fuse-messages.ts";
import { ChainTable } from "../tree/chain-table.ts";
import { LayerTable } from "../tree/layer-table.ts";

/** The tables of a mount of one image, open until it is disposed of. */
export interface MountTables extends Disposable {
  readonly tables: readonly MountTable[];
  readonly rootChain: number;
  /** Of its distinct layers, by the number of the table. */
  readonly layers: ReadonlyMap<number, LayerTable>;
  /** By digest; a layer that an image has twice has one. */
  readonly numbers: ReadonlyMap<Digest, number>;
  /** Whether any node has a POSIX ACL. */
  readonly hasAcls: boolean;
}

/** The tables' own checksums are looked at when they are opened here; once is enough for all threads. */
const NO_CHECK = { verify: false };

/** Gives numbers to the tables of an image: its distinct layers in order, from 1 on, then its chain. */
export async function openMountTables(
  { layers, treePath }: MountableImage,
  cacheRoot: string,
): Promise<MountTables> {
  using opened = new DisposableStack();
  const numbers = new Map<Digest, number>();
  const tables: MountTable[] = [];
  const layerTables = new Map<number, LayerTable>();
  const chain: number[] = [];
  for (const { descriptor, layer } of layers) {
    let table = numbers.get(descriptor.digest);
    if (table === undefined) {
      table = numbers.size + 1;
      numbers.set(descriptor.digest, table);
      const inodes = opened.use(await openPrivateTable(layer.paths.inodes, cacheRoot)).path;
      layerTables.set(table, LayerTable.open(mapTable(inodes, NO_CHECK)));
      tables.push({ kind: "layer", table, inodes, files: layer.handle });
    }
    chain.push(table);
  }
  const rootChain = numbers.size + 1;
  if (rootChain >= MAX_TABLES) {
    throw new SociError(
      "unsupported",
      `Cannot mount an image of ${numbers.size} layers, want fewer than ${MAX_TABLES - 1}`,
    );
  }
  const { path } = opened.use(await openPrivateTable(treePath, cacheRoot));
  const tree = ChainTable.open(mapTable(path, NO_CHECK));
  tables.push({ kind: "chain", table: rootChain, path, layers: chain });
  const held = opened.move();
  return {
    tables,
    rootChain,
    layers: layerTables,
    numbers,
    hasAcls: tree.hasAcls || [...layerTables.values()].some((layer) => layer.hasAcls),
    [Symbol.dispose]: () => held.dispose(),
  };
}
