import { Client, credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import type { WaitOptions } from "../../src/async/wait-options.ts";
import type { Mount } from "../../src/containerd/api/mount.ts";
import {
  type Labels,
  SNAPSHOT_INFO,
  type SnapshotInfo,
  SNAPSHOTS_SERVICE,
} from "../../src/containerd/api/snapshots.ts";
import { ContainerdCalls } from "../../src/containerd/containerd-calls.ts";
import type { Logger } from "../../src/observability/log.ts";
import { infoOf, snapshotsService } from "../../src/snapshotter/grpc-service.ts";
import { Metastore } from "../../src/snapshotter/metastore.ts";
import type { Usage } from "../../src/snapshotter/snapshot.ts";
import { Snapshotter } from "../../src/snapshotter/snapshotter.ts";
import type { SnapshotterEvents } from "../../src/snapshotter/snapshotter-events.ts";
import { FakeLayerMounter } from "../support/fake-layer-mounter.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

export interface SnapshotToMake {
  readonly key: string;
  readonly parent?: string;
  readonly labels?: Labels;
  /** Empty: none. Default "test". */
  readonly namespace?: string;
}

/** The calls of a snapshotter as containerd makes them, on whatever way. */
export interface SnapshotCalls {
  prepare(snapshot: SnapshotToMake, wait?: WaitOptions): Promise<readonly Mount[]>;
  view(snapshot: SnapshotToMake, wait?: WaitOptions): Promise<readonly Mount[]>;
  mounts(key: string): Promise<readonly Mount[]>;
  commit(key: string, name: string, labels?: Labels, parent?: string): Promise<void>;
  remove(key: string): Promise<void>;
  stat(key: string): Promise<SnapshotInfo>;
  update(name: string, labels: Labels, paths?: readonly string[]): Promise<SnapshotInfo>;
  list(...filters: readonly string[]): Promise<readonly SnapshotInfo[]>;
  usage(key: string): Promise<Usage>;
  cleanup(): Promise<void>;
}

/** A snapshotter on a root of its own; disposing removes all. */
export interface OpenedSnapshotter extends AsyncDisposable {
  readonly calls: SnapshotCalls;
  readonly mounter: FakeLayerMounter;
  readonly root: string;
}

export interface OpenOptions {
  readonly log?: Logger;
  readonly events?: SnapshotterEvents;
  /** One that others use, too. */
  readonly dir?: TempDir;
}

export async function openDirectly(options: OpenOptions = {}): Promise<OpenedSnapshotter> {
  await using stack = new AsyncDisposableStack();
  const { snapshotter, mounter, root } = await openIn(options, stack);
  const owned = stack.move();
  return {
    calls: directCalls(snapshotter),
    mounter,
    root,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function openOverGrpc(options: OpenOptions = {}): Promise<OpenedSnapshotter> {
  await using stack = new AsyncDisposableStack();
  const { snapshotter, mounter, root, dir } = await openIn(options, stack);
  const address = `unix:${dir.join("snapshotter.sock")}`;
  const server = new Server();
  stack.defer(() => server.forceShutdown());
  server.addService(SNAPSHOTS_SERVICE, snapshotsService({ snapshotter, ...options }));
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
  const client = new Client(address, credentials.createInsecure());
  stack.defer(() => client.close());
  const owned = stack.move();
  return {
    calls: grpcCalls(new ContainerdCalls(client)),
    mounter,
    root,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function openIn(
  { log, events, dir: shared }: OpenOptions,
  stack: AsyncDisposableStack,
): Promise<{ snapshotter: Snapshotter; mounter: FakeLayerMounter; root: string; dir: TempDir }> {
  const dir = shared ?? stack.use(await tempDir());
  const mounter = new FakeLayerMounter(dir.join("shown"));
  const metastore = Metastore.open(dir.join("snapshots.sqlite"));
  const snapshotter = stack.use(
    await Snapshotter.open({
      root: dir.path,
      metastore,
      mounter,
      ...(log === undefined ? {} : { log }),
      ...(events === undefined ? {} : { events }),
    }),
  );
  return { snapshotter, mounter, root: dir.path, dir };
}

function directCalls(snapshotter: Snapshotter): SnapshotCalls {
  return {
    prepare: ({ key, parent, labels = {}, namespace = "test" }, wait) =>
      snapshotter.prepare({ name: key, parent, labels, namespace }, wait),
    view: ({ key, parent, labels = {} }, wait) =>
      snapshotter.view({ name: key, parent, labels }, wait),
    mounts: (key) => snapshotter.mounts(key),
    commit: (key, name, labels = {}, parent) => snapshotter.commit({ key, name, labels, parent }),
    remove: (key) => snapshotter.remove(key),
    stat: async (key) => infoOf(await snapshotter.stat(key)),
    update: async (name, labels, fieldPaths = []) =>
      infoOf(await snapshotter.update({ name, labels, fieldPaths })),
    list: async (...filters) => {
      const all: SnapshotInfo[] = [];
      for await (const batch of snapshotter.list(filters)) all.push(...batch.map(infoOf));
      return all;
    },
    usage: (key) => snapshotter.usage(key),
    cleanup: () => snapshotter.cleanup(),
  };
}

function grpcCalls(base: ContainerdCalls): SnapshotCalls {
  const snapshotter = "sociable";
  const what = "test";
  const calls = base.within({ namespace: "test" });
  const service = SNAPSHOTS_SERVICE;
  const within = (namespace = "test"): ContainerdCalls =>
    base.within(namespace === "" ? {} : { namespace });
  const info = (response: { readonly info: SnapshotInfo | undefined }): SnapshotInfo => {
    if (response.info === undefined) throw new Error("no info");
    return response.info;
  };
  return {
    prepare: async ({ key, parent = "", labels = {}, namespace }, wait = {}) =>
      (
        await within(namespace).unary(
          service.prepare,
          { snapshotter, key, parent, labels },
          { what, ...wait },
        )
      ).mounts,
    view: async ({ key, parent = "", labels = {} }, wait = {}) =>
      (await calls.unary(service.view, { snapshotter, key, parent, labels }, { what, ...wait }))
        .mounts,
    mounts: async (key) => (await calls.unary(service.mounts, { key }, { what })).mounts,
    commit: async (key, name, labels = {}, parent = "") => {
      await calls.unary(service.commit, { snapshotter, key, name, labels, parent }, { what });
    },
    remove: async (key) => {
      await calls.unary(service.remove, { snapshotter, key }, { what });
    },
    stat: async (key) => info(await calls.unary(service.stat, { snapshotter, key }, { what })),
    update: async (name, labels, paths = []) =>
      info(
        await calls.unary(
          service.update,
          { info: SNAPSHOT_INFO.create({ name, labels }), updateMask: { paths } },
          { what },
        ),
      ),
    list: async (...filters) => {
      const all: SnapshotInfo[] = [];
      for await (const batch of calls.stream(service.list, { snapshotter, filters }, { what })) {
        all.push(...batch.info);
      }
      return all;
    },
    usage: (key) => calls.unary(service.usage, { snapshotter, key }, { what }),
    cleanup: async () => {
      await calls.unary(service.cleanup, { snapshotter }, { what });
    },
  };
}
