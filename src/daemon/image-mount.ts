import { availableParallelism } from "node:os";
import type { CachedLayer } from "../cache/cached-layer.ts";
import type { FuseNegotiated } from "../fuse/init.ts";
import { notifyResend } from "../fuse/replies.ts";
import type { SpanScheduler } from "../fetch/span-scheduler.ts";
import type { MountableImage } from "../image/reopen-image.ts";
import { FileReads } from "../lazyfs/read-file.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { FuseWorkerPort } from "../threads/fuse-workers.ts";
import type { AnsweredLayer } from "../threads/read-answerer.ts";
import { type ConnectionKeeper, FuseConnection } from "./fuse-connection.ts";
import { MountJournal } from "./mount-journal.ts";
import type { MountRecord } from "./mount-record.ts";
import type { MountRecords } from "./mount-records.ts";
import { type MountTables, openMountTables } from "./mount-tables.ts";
import { MountServer } from "./mount-server.ts";
import { MOUNT_TYPE } from "./unmount-image.ts";

export interface ImageMountOptions {
  /** Absolute, without symlinks. */
  readonly directory: string;
  /** Shown as the mount's source. */
  readonly name: string;
  /** Stays the caller's, who closes it after the mount. */
  readonly prepared: MountableImage;
  readonly source: ImageSource;
  readonly scheduler: SpanScheduler;
  /** Brings a layer in again that can only be had whole. */
  readonly refetchWhole: (
    layer: CachedLayer,
    descriptor: Descriptor,
    signal: AbortSignal,
  ) => Promise<void>;
  /** Threads to answer the kernel, fresh; the mount ends them. */
  readonly ports: readonly FuseWorkerPort[];
  readonly suid?: boolean;
  readonly dev?: boolean;
  readonly allowOther: boolean;
  readonly records: MountRecords;
  /** The state root. */
  readonly root: string;
  /** Has a copy of the connection, so that another process can go on. */
  readonly keeper?: ConnectionKeeper | undefined;
  /** As FuseInitOptions. */
  readonly resends?: boolean | undefined;
  /** Of the cache that the image is in. */
  readonly cacheRoot: string;
  readonly log: Logger;
}

/** A connection that another process served, and what that one has written of it. */
export interface TakenConnection {
  readonly fd: number;
  readonly record: MountRecord;
}

/** Threads that answer the kernel; more do not help, as reads that wait do not hold one. */
export const FUSE_THREADS = Math.max(2, Math.min(4, availableParallelism()));

/**
 * An image mounted on a directory. Nothing that it knows is not on disk: any process that has the
 * descriptor and the cache can go on where this one ends.
 */
export class ImageMount implements AsyncDisposable {
  readonly negotiated: FuseNegotiated;
  /** By which the scheduler knows the image's layers. */
  readonly layerNumbers: readonly number[];
  readonly #server: MountServer;
  readonly #record: AsyncDisposable;
  readonly #tables: Disposable;
  readonly #journal: MountJournal | undefined;
  #disposed: Promise<void> | undefined;

  private constructor(opened: {
    readonly negotiated: FuseNegotiated;
    readonly server: MountServer;
    readonly record: AsyncDisposable;
    readonly layerNumbers: readonly number[];
    readonly tables: Disposable;
    readonly journal: MountJournal | undefined;
  }) {
    this.negotiated = opened.negotiated;
    this.layerNumbers = opened.layerNumbers;
    this.#server = opened.server;
    this.#record = opened.record;
    this.#tables = opened.tables;
    this.#journal = opened.journal;
  }

  /** Mounts, and serves. @throws failed-precondition, permission-denied, unsupported … */
  static async open(options: ImageMountOptions): Promise<ImageMount> {
    const { directory, prepared } = options;
    await using cleanup = new AsyncDisposableStack();
    const tables = cleanup.use(await openMountTables(prepared, options.cacheRoot));
    const connection = cleanup.use(await FuseConnection.open({ ...options, acls: tables.hasAcls }));
    const { device, negotiated } = connection;
    const { treeKey, layers } = prepared;
    const record = cleanup.use(
      await options.records.put({
        directory,
        device,
        negotiated,
        treeKey,
        layers: layers.map(({ descriptor, layer }) => ({ ...descriptor, cacheKey: layer.key })),
      }),
    );
    const journal = needsJournal(options, connection)
      ? cleanup.use(MountJournal.begin(journalPlace(options, device)))
      : undefined;
    const mount = await ImageMount.#serve(options, { tables, connection, record, journal });
    cleanup.move();
    return mount;
  }

  /**
   * Goes on serving a connection whose process has ended, by its record: what that one had read and
   * not answered comes again from the kernel, where that can (6.9), else from the journal. The
   * descriptor is this mount's from now on; when it throws the mount waits for the next one.
   */
  static async takeOver(
    options: ImageMountOptions,
    { fd, record: { negotiated, ...rest } }: TakenConnection,
  ): Promise<ImageMount> {
    const { device } = rest;
    const record = await options.records.put({ negotiated, ...rest });
    await using cleanup = new AsyncDisposableStack();
    const tables = cleanup.use(await openMountTables(options.prepared, options.cacheRoot));
    const { directory } = options;
    const facts = { fd, directory, type: MOUNT_TYPE, device, negotiated };
    const connection = new FuseConnection(facts, options);
    await options.keeper?.keep(connection);
    const journal = needsJournal(options, connection)
      ? MountJournal.takeOver(journalPlace(options, device))
      : undefined;
    const mount = await ImageMount.#serve(options, { tables, connection, record, journal });
    cleanup.move();
    if (connection.resends) notifyResend(fd);
    return mount;
  }

  static async #serve(
    options: ImageMountOptions,
    parts: {
      readonly tables: MountTables;
      readonly connection: FuseConnection;
      readonly record: AsyncDisposable;
      readonly journal: MountJournal | undefined;
    },
  ): Promise<ImageMount> {
    const { prepared, scheduler, source, ports, log } = options;
    const { tables: mountTables, connection, record, journal } = parts;
    const { tables, rootChain, numbers } = mountTables;
    const layers = new Map<number, AnsweredLayer>();
    for (const { descriptor, layer } of prepared.layers) {
      const table = numbers.get(descriptor.digest);
      const inodes = table === undefined ? undefined : mountTables.layers.get(table);
      if (table === undefined || inodes === undefined || layers.has(table)) continue;
      scheduler.addLayer({
        id: table,
        layer,
        descriptor,
        source,
        refetchWhole: (signal) => options.refetchWhole(layer, descriptor, signal),
      });
      layers.set(table, {
        files: new FileReads(inodes),
        reader: {
          read: (start, end, bytes, at) => scheduler.readRange(table, start, end, bytes, at),
        },
        want: (start, end, options) => scheduler.want(table, start, end, options),
      });
    }
    const cachedOf = new Map(
      prepared.layers.map(({ descriptor, layer }) => [numbers.get(descriptor.digest), layer]),
    );
    const server = await MountServer.start({
      connection,
      ports,
      tables,
      root: { kind: "chain", chain: rootChain },
      layers,
      journal,
      onDamage: (layer, span) => cachedOf.get(layer)?.damage(span),
      log,
    });
    return new ImageMount({
      negotiated: connection.negotiated,
      layerNumbers: [...layers.keys()],
      server,
      record,
      tables: mountTables,
      journal,
    });
  }

  /** Resolves when it has been unmounted, by whomever; rejects when it cannot be served any more. */
  get unmounted(): Promise<void> {
    return this.#server.unmounted;
  }

  /** Unmounts; one that is in use is detached, and whoever uses it gets errors. */
  async unmount(): Promise<void> {
    await this.#server.unmount();
  }

  /** Unmounts, and ends the threads. Twice is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    await this.#disposed;
  }

  async #dispose(): Promise<void> {
    await using ending = new AsyncDisposableStack();
    ending.use(this.#tables);
    ending.use(this.#record);
    if (this.#journal !== undefined) ending.use(this.#journal);
    ending.use(this.#server);
  }
}

/** Where another process may go on, and the kernel will not tell it what this one had read. */
function needsJournal({ keeper }: ImageMountOptions, { resends }: FuseConnection): boolean {
  return keeper !== undefined && !resends;
}

function journalPlace({ root, ports, log }: ImageMountOptions, device: string) {
  return { root, device, threads: ports.length, log };
}
