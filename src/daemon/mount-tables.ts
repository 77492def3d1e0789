import type { MountableImage } from "../image/reopen-image.ts";
import { MAX_TABLES } from "../lazyfs/node-id.ts";
import { SociError } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";
import type { MountTable } from "../threads/fuse-messages.ts";

/** The tables of a mount of one image. */
export interface MountTables {
  readonly tables: readonly MountTable[];
  readonly rootChain: number;
  /** By digest; a layer that an image has twice has one. */
  readonly numbers: ReadonlyMap<Digest, number>;
}

/** Gives numbers to the tables of an image: its distinct layers in order, from 1 on, then its chain. */
export function mountTablesOf({ layers, treePath }: MountableImage): MountTables {
  const numbers = new Map<Digest, number>();
  const tables: MountTable[] = [];
  const chain: number[] = [];
  for (const { descriptor, layer } of layers) {
    let table = numbers.get(descriptor.digest);
    if (table === undefined) {
      table = numbers.size + 1;
      numbers.set(descriptor.digest, table);
      tables.push({ kind: "layer", table, inodes: layer.paths.inodes, files: layer.handle });
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
  tables.push({ kind: "chain", table: rootChain, path: treePath, layers: chain });
  return { tables, rootChain, numbers };
}
