import type { CachedLayer } from "../cache/cached-layer.ts";
import { openPrivateTable } from "../cache/private-table.ts";
import { mapTable } from "../cache/table-file.ts";
import type { SpanScheduler } from "../fetch/span-scheduler.ts";
import { FileReads } from "../lazyfs/read-file.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { MountTable } from "../threads/fuse-messages.ts";
import type { AnsweredLayer } from "../threads/read-answerer.ts";
import { LayerTable } from "../tree/layer-table.ts";
import type { TableNumbers } from "./table-numbers.ts";

export interface ServedLayersOptions {
  readonly scheduler: SpanScheduler;
  readonly numbers: TableNumbers;
  /** Of the cache that the layers are in. */
  readonly cacheRoot: string;
}

export interface LayerToServe {
  readonly descriptor: Descriptor;
  /** Stays the caller's, and open until the lease is released. */
  readonly layer: CachedLayer;
  /** Likewise. */
  readonly source: ImageSource;
  /** Brings the layer in again, where it can only be had whole. */
  readonly refetchWhole: (signal: AbortSignal) => Promise<void>;
}

/** A layer that may be shown, as long as it is not disposed of; it must be shown nowhere any more then. */
export interface ServedLayerLease extends AsyncDisposable {
  /** Of its table in every mount, and by which the scheduler knows it. */
  readonly number: number;
  readonly descriptor: Descriptor;
  readonly layer: CachedLayer;
  readonly hasXattrs: boolean;
  readonly hasAcls: boolean;
  /** For the threads of a mount. */
  readonly table: MountTable;
  /** For whoever answers the reads that they miss. */
  readonly answered: AnsweredLayer;
}

type Served = Omit<ServedLayerLease, typeof Symbol.asyncDispose> & {
  readonly privateTable: Disposable;
};

interface Entry {
  readonly served: Promise<Served>;
  leases: number;
}

/** Its own checksums are looked at when it is opened here; once is enough for all threads. */
const NO_CHECK = { verify: false };

/** The layers that mounts of this process show, each known to the scheduler once, however many mounts show it. */
export class ServedLayers {
  readonly #options: ServedLayersOptions;
  readonly #entries = new Map<CachedLayer, Entry>();
  /** Numbers that are in use. */
  readonly #inUse = new Set<number>();

  constructor(options: ServedLayersOptions) {
    this.#options = options;
  }

  /** Layers that are served. */
  get count(): number {
    return this.#inUse.size;
  }

  /** @throws data-loss (its table is damaged), not-found, failed-precondition (disk full) */
  async acquire(layer: LayerToServe): Promise<ServedLayerLease> {
    let entry = this.#entries.get(layer.layer);
    if (entry === undefined) {
      entry = { served: this.#serve(layer), leases: 0 };
      this.#entries.set(layer.layer, entry);
    }
    const mine = entry;
    mine.leases += 1;
    try {
      const { privateTable: _, ...served } = await mine.served;
      let released: Promise<void> | undefined;
      return {
        ...served,
        [Symbol.asyncDispose]: async () => {
          released ??= this.#release(layer.layer, mine);
          await released;
        },
      };
    } catch (error) {
      if (this.#entries.get(layer.layer) === mine) this.#entries.delete(layer.layer);
      throw error;
    }
  }

  async #serve(toServe: LayerToServe): Promise<Served> {
    const { scheduler, numbers, cacheRoot } = this.#options;
    const { descriptor, layer, source, refetchWhole } = toServe;
    using opened = new DisposableStack();
    const privateTable = opened.use(await openPrivateTable(layer.paths.inodes, cacheRoot));
    const bytes = mapTable(privateTable.path, NO_CHECK);
    const table = LayerTable.open(bytes);
    const content = `layer ${layer.key} ${Bun.hash(bytes)}`;
    // The same layer opened twice is two, as far as anybody can tell.
    let number = numbers.numberOf(content);
    for (let twin = 1; this.#inUse.has(number); twin++) {
      numbers.release(number);
      number = numbers.numberOf(`${content} ${twin}`);
    }
    opened.defer(() => numbers.release(number));
    scheduler.addLayer({ id: number, layer, descriptor, source, refetchWhole });
    this.#inUse.add(number);
    opened.move();
    return {
      number,
      descriptor,
      layer,
      hasXattrs: table.hasXattrs,
      hasAcls: table.hasAcls,
      table: { kind: "layer", table: number, inodes: privateTable.path, files: layer.handle },
      answered: {
        files: new FileReads(table),
        reader: {
          read: (start, end, into, at) => scheduler.readRange(number, start, end, into, at),
        },
        want: (start, end, options) => scheduler.want(number, start, end, options),
      },
      privateTable,
    };
  }

  async #release(layer: CachedLayer, entry: Entry): Promise<void> {
    entry.leases -= 1;
    if (entry.leases > 0) return;
    if (this.#entries.get(layer) === entry) this.#entries.delete(layer);
    const { number, privateTable } = await entry.served;
    try {
      await this.#options.scheduler.removeLayer(number);
    } finally {
      this.#inUse.delete(number);
      this.#options.numbers.release(number);
      privateTable[Symbol.dispose]();
    }
  }
}
