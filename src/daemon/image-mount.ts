import { availableParallelism } from "node:os";
import type { CachedLayer } from "../cache/cached-layer.ts";
import { FUSE_HAS_RESEND } from "../fuse/abi.ts";
import { type FuseNegotiated, hasFeature } from "../fuse/init.ts";
import { notifyResend } from "../fuse/replies.ts";
import type { SpanScheduler } from "../fetch/span-scheduler.ts";
import type { MountableImage } from "../image/reopen-image.ts";
import { FileReads } from "../lazyfs/read-file.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { FuseWorkerPort } from "../threads/fuse-workers.ts";
import type { AnsweredLayer } from "../threads/read-answerer.ts";
import { FuseConnection } from "./fuse-connection.ts";
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
  #disposed: Promise<void> | undefined;

  private constructor(opened: {
    readonly negotiated: FuseNegotiated;
    readonly server: MountServer;
    readonly record: AsyncDisposable;
    readonly layerNumbers: readonly number[];
    readonly tables: Disposable;
  }) {
    this.negotiated = opened.negotiated;
    this.layerNumbers = opened.layerNumbers;
    this.#server = opened.server;
    this.#record = opened.record;
    this.#tables = opened.tables;
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
    const mount = await ImageMount.#serve(options, { tables, connection, record });
    cleanup.move();
    return mount;
  }

  /**
   * Goes on serving a connection whose process has ended, by its record: what that one had read and
   * not answered comes again, where the kernel can (6.9); before, it is never answered, which is said.
   * The descriptor is this mount's from now on.
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
    const mount = await ImageMount.#serve(options, { tables, connection, record });
    cleanup.move();
    const isResent = hasFeature(negotiated, FUSE_HAS_RESEND) && notifyResend(fd) >= 0;
    if (!isResent) {
      options.log.warn("kernel cannot ask again what the former server had not answered", {
        directory: options.directory,
      });
    }
    return mount;
  }

  static async #serve(
    options: ImageMountOptions,
    parts: {
      readonly tables: MountTables;
      readonly connection: FuseConnection;
      readonly record: AsyncDisposable;
    },
  ): Promise<ImageMount> {
    const { prepared, scheduler, source, ports, log } = options;
    const { tables: mountTables, connection, record } = parts;
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
      onDamage: (layer, span) => cachedOf.get(layer)?.damage(span),
      log,
    });
    return new ImageMount({
      negotiated: connection.negotiated,
      layerNumbers: [...layers.keys()],
      server,
      record,
      tables: mountTables,
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
    ending.use(this.#server);
  }
}
