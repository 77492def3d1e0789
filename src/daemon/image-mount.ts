import { availableParallelism } from "node:os";
import type { CachedLayer } from "../cache/cached-layer.ts";
import { SociError } from "../errors.ts";
import { negotiateFuse } from "../fuse/device.ts";
import { FUSE_HAS_RESEND } from "../fuse/abi.ts";
import { type FuseNegotiated, hasFeature } from "../fuse/init.ts";
import { notifyResend } from "../fuse/replies.ts";
import type { SpanScheduler } from "../fetch/span-scheduler.ts";
import type { MountableImage } from "../image/reopen-image.ts";
import { FileReads } from "../lazyfs/read-file.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { sysClose } from "../sys/libc.ts";
import { mountFuse } from "../sys/mount-fuse.ts";
import { findMount } from "../sys/mountinfo.ts";
import { setReadahead } from "../sys/readahead.ts";
import { type FuseWorkerPort, FuseWorkers } from "../threads/fuse-workers.ts";
import { type AnsweredLayer, ReadAnswerer } from "../threads/read-answerer.ts";
import type { MountRecord } from "./mount-record.ts";
import type { MountRecords } from "./mount-records.ts";
import { type MountTables, openMountTables } from "./mount-tables.ts";
import { unmountImage } from "./unmount-image.ts";

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

interface Connection {
  readonly fd: number;
  readonly negotiated: FuseNegotiated;
  readonly device: string;
  readonly record: AsyncDisposable;
}

/** Threads that answer the kernel; more do not help, as reads that wait do not hold one. */
export const FUSE_THREADS = Math.max(2, Math.min(4, availableParallelism()));

const MAX_READ = 1 << 20;
const READAHEAD_BYTES = 4 << 20;

/**
 * An image mounted on a directory. Nothing that it knows is not on disk: any process that has the
 * descriptor and the cache can go on where this one ends.
 */
export class ImageMount implements AsyncDisposable {
  readonly negotiated: FuseNegotiated;
  /** By which the scheduler knows the image's layers. */
  readonly layerNumbers: readonly number[];
  readonly #directory: string;
  readonly #device: string;
  readonly #fd: number;
  readonly #workers: FuseWorkers;
  readonly #answerer: ReadAnswerer;
  readonly #log: Logger;
  readonly #record: AsyncDisposable;
  readonly #tables: Disposable;
  readonly #unmounted: Promise<void>;
  #isUnmounted = false;
  #disposed: Promise<void> | undefined;

  private constructor(
    { directory, log }: ImageMountOptions,
    opened: Connection & {
      readonly workers: FuseWorkers;
      readonly answerer: ReadAnswerer;
      readonly layerNumbers: readonly number[];
      readonly tables: Disposable;
    },
  ) {
    this.#tables = opened.tables;
    this.#record = opened.record;
    this.layerNumbers = opened.layerNumbers;
    this.negotiated = opened.negotiated;
    this.#directory = directory;
    this.#device = opened.device;
    this.#log = log;
    this.#fd = opened.fd;
    this.#workers = opened.workers;
    this.#answerer = opened.answerer;
    this.#unmounted = opened.workers.unmounted.then(() => {
      this.#isUnmounted = true;
    });
    // Whoever does not ask how the mount ended has no use for its failure.
    this.#unmounted.catch(() => undefined);
  }

  /** Mounts, and serves. @throws failed-precondition, permission-denied, unsupported … */
  static async open(options: ImageMountOptions): Promise<ImageMount> {
    const { directory, name, prepared, suid = false, dev = false, allowOther } = options;
    await using cleanup = new AsyncDisposableStack();
    const tables = cleanup.use(await openMountTables(prepared, options.cacheRoot));
    const below = await findMount(directory);
    const fd = await mountFuse({
      directory,
      source: name,
      maxRead: MAX_READ,
      allowOther,
      suid,
      dev,
    });
    cleanup.defer(() => void sysClose(fd));
    const device = (await findMount(directory))?.device;
    if (device === undefined || device === below?.device) {
      throw new SociError("unavailable", `Cannot mount on "${directory}": it is unmounted already`);
    }
    cleanup.defer(() => unmountImage(directory, { force: true, device }));
    const negotiated = negotiateFuse(fd, { maxRead: MAX_READ, acls: tables.hasAcls });
    await setReadahead(device, READAHEAD_BYTES);
    const { treeKey, layers } = prepared;
    const record = cleanup.use(
      await options.records.put({
        directory,
        device,
        negotiated,
        treeKey,
        layers: layers.map(({ descriptor }) => descriptor),
      }),
    );
    const mount = await ImageMount.#serve(options, tables, { fd, negotiated, device, record });
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
    const mount = await ImageMount.#serve(options, tables, { fd, negotiated, device, record });
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
    mountTables: MountTables,
    connection: Connection,
  ): Promise<ImageMount> {
    const { prepared, scheduler, source, ports, log } = options;
    const { fd, negotiated } = connection;
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
    await using cleanup = new AsyncDisposableStack();
    const answerer = cleanup.use(new ReadAnswerer({ layers, maxRead: negotiated.maxRead, log }));
    const cachedOf = new Map(
      prepared.layers.map(({ descriptor, layer }) => [numbers.get(descriptor.digest), layer]),
    );
    const workers = await FuseWorkers.start({
      ports,
      fd,
      negotiated,
      tables,
      rootChain,
      log,
      onMiss: (miss) => void answerer.answer(miss),
      onInterrupt: (unique) => answerer.interrupt(unique),
      onDamage: (layer, { span }) => cachedOf.get(layer)?.damage(span),
    });
    cleanup.move();
    const layerNumbers = [...layers.keys()];
    const opened = { workers, answerer, layerNumbers, tables: mountTables };
    return new ImageMount(options, { ...connection, ...opened });
  }

  /** Resolves when it has been unmounted, by whomever; rejects when it cannot be served any more. */
  get unmounted(): Promise<void> {
    return this.#unmounted;
  }

  /** Unmounts; one that is in use is detached, and whoever uses it gets errors. */
  async unmount(): Promise<void> {
    if (this.#isUnmounted) return;
    try {
      await unmountImage(this.#directory, { device: this.#device });
    } catch (error) {
      if (!(error instanceof SociError) || error.kind === "not-found") return;
      this.#log.warn("mount is in use and is detached", { directory: this.#directory });
      await unmountImage(this.#directory, { force: true, device: this.#device });
    }
  }

  /** Unmounts, and ends the threads. Twice is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    await this.#disposed;
  }

  async #dispose(): Promise<void> {
    // Also when it cannot be unmounted; from the last to the first. The descriptor's number may be
    // another file's next, and a late reply would go there: so it is closed when all are given.
    await using ending = new AsyncDisposableStack();
    ending.use(this.#tables);
    ending.defer(() => void sysClose(this.#fd));
    ending.use(this.#record);
    ending.use(this.#answerer);
    ending.use(this.#workers);
    // A read that waits would keep the mount in use.
    this.#answerer.interruptAll();
    await this.unmount();
  }
}
