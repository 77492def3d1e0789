import { LayerFiles } from "../cache/layer-files.ts";
import { LayerReader } from "../cache/layer-reader.ts";
import { mapTable } from "../cache/table-file.ts";
import type { MountedChain, MountedLayer } from "../lazyfs/lazy-file-system.ts";
import { ChainTable } from "../tree/chain-table.ts";
import { LayerTable } from "../tree/layer-table.ts";
import type { MountTable } from "./fuse-messages.ts";
import { layerStateOf } from "./layer-state.ts";

/** The main thread has opened these very files, which nobody else can write to. */
const UNVERIFIED = { verify: false };
const CHECKED = { isChecked: true };

export interface OpenedTables {
  readonly chains: ReadonlyMap<number, MountedChain>;
  readonly layers: ReadonlyMap<number, MountedLayer>;
}

interface OpenLayer {
  readonly files: LayerFiles;
  readonly reader: LayerReader;
}

/** The tables and layers that one thread has open. Descriptors are the process's, and outlive a thread that is terminated. */
export class ThreadTables implements Disposable {
  readonly #layers = new Map<number, OpenLayer>();

  /** Opens all of them, or throws and none. */
  open(tables: readonly MountTable[]): OpenedTables {
    const chains = new Map<number, MountedChain>();
    const layers = new Map<number, MountedLayer>();
    try {
      for (const table of tables) {
        if (table.kind === "chain") {
          const chain = ChainTable.open(mapTable(table.path, UNVERIFIED), CHECKED);
          chains.set(table.table, { table: chain, layers: table.layers });
          continue;
        }
        const inodes = LayerTable.open(mapTable(table.inodes, UNVERIFIED), CHECKED);
        if (this.#layers.has(table.table)) throw new Error(`layer ${table.table} is there already`);
        const files = LayerFiles.open(table.files);
        const reader = new LayerReader(files);
        this.#layers.set(table.table, { files, reader });
        layers.set(table.table, { table: inodes, reader, state: () => layerStateOf(files) });
      }
    } catch (error) {
      this.close(layers.keys());
      throw error;
    }
    return { chains, layers };
  }

  readerOf(layer: number): LayerReader | undefined {
    return this.#layers.get(layer)?.reader;
  }

  /** Closes layers, by their tables' numbers; others are passed over. */
  close(tables: Iterable<number>): void {
    for (const table of tables) {
      this.#layers.get(table)?.files[Symbol.dispose]();
      this.#layers.delete(table);
    }
  }

  [Symbol.dispose](): void {
    this.close([...this.#layers.keys()]);
  }
}
