import { mkdir } from "node:fs/promises";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import type { Mount } from "../../src/containerd/api/mount.ts";
import {
  type CommitRequest,
  type Labels,
  type PrepareRequest,
  type SnapshotInfo,
  type SnapshotKeyRequest,
  SNAPSHOTS_SERVICE,
} from "../../src/containerd/api/snapshots.ts";
import { timestampOf } from "../../src/containerd/api/timestamp.ts";
import { toGrpcStatus } from "../../src/containerd/grpc-error.ts";
import { SociError } from "../../src/errors.ts";

export interface FakeSnapshotterOptions {
  readonly socket: string;
  /** Where snapshots that it does not show by itself lie, each without its parents. */
  readonly directory: string;
  /** Whether it shows a layer by itself. */
  readonly isLazy: (labels: Labels) => boolean;
}

/** A remote snapshotter that has nothing to show, on a socket: what containerd asks of one, it answers. */
export class FakeSnapshotter implements AsyncDisposable {
  readonly prepared: PrepareRequest[] = [];
  readonly #options: FakeSnapshotterOptions;
  readonly #snapshots = new Map<string, SnapshotInfo>();
  readonly #server = new Server();

  private constructor(options: FakeSnapshotterOptions) {
    this.#options = options;
    this.#server.addService(SNAPSHOTS_SERVICE, {
      prepare: answering((request: PrepareRequest) => this.#prepare(request)),
      view: answering((request: PrepareRequest) => this.#prepare(request)),
      mounts: answering(({ key }: SnapshotKeyRequest) => this.#mounts(key)),
      commit: answering((request: CommitRequest) => this.#commit(request)),
      remove: answering(({ key }: SnapshotKeyRequest) => {
        this.#stat(key);
        this.#snapshots.delete(key);
        return {};
      }),
      stat: answering(({ key }: SnapshotKeyRequest) => ({ info: this.#stat(key) })),
      update: answering(() => ({ info: undefined })),
      list: (call: { write(value: unknown): void; end(): void }) => {
        call.write({ info: [...this.#snapshots.values()] });
        call.end();
      },
      usage: answering(() => ({ size: 0, inodes: 0 })),
      cleanup: answering(() => ({})),
    });
  }

  static async start(options: FakeSnapshotterOptions): Promise<FakeSnapshotter> {
    const snapshotter = new FakeSnapshotter(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    snapshotter.#server.bindAsync(
      `unix:${options.socket}`,
      ServerCredentials.createInsecure(),
      (error) => (error === null ? resolve() : reject(error)),
    );
    await promise;
    return snapshotter;
  }

  get names(): readonly string[] {
    return [...this.#snapshots.keys()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
  }

  async #prepare(request: PrepareRequest): Promise<{ mounts: readonly Mount[] }> {
    this.prepared.push(request);
    const { key, parent, labels } = request;
    if (parent !== "") this.#stat(parent);
    const target = labels["containerd.io/snapshot.ref"];
    if (target !== undefined && this.#options.isLazy(labels)) {
      const remote = { ...labels, "containerd.io/snapshot/remote": "remote snapshot" };
      this.#put({ name: target, parent, kind: "committed", labels: remote });
      throw new SociError("already-exists", `target snapshot "${target}": already exists`);
    }
    this.#put({ name: key, parent, kind: "active", labels });
    return await this.#mounts(key);
  }

  async #mounts(key: string): Promise<{ mounts: readonly Mount[] }> {
    const source = `${this.#options.directory}/${key.replaceAll(/[/: ]/g, "-")}`;
    await mkdir(source, { recursive: true });
    return { mounts: [{ type: "bind", source, target: "", options: ["rw", "rbind"] }] };
  }

  #commit({ name, key, labels }: CommitRequest): object {
    const info = this.#stat(key);
    this.#snapshots.delete(key);
    this.#put({ name, parent: info.parent, kind: "committed", labels });
    return {};
  }

  #put(info: Omit<SnapshotInfo, "createdAt" | "updatedAt">): void {
    const now = timestampOf(Date.now());
    this.#snapshots.set(info.name, { ...info, createdAt: now, updatedAt: now });
  }

  #stat(key: string): SnapshotInfo {
    const info = this.#snapshots.get(key);
    if (info !== undefined) return info;
    throw new SociError("not-found", `snapshot ${key} does not exist`);
  }
}

function answering<Request, Response>(answer: (request: Request) => Response | Promise<Response>) {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
    Promise.try(answer, call.request).then(
      (response) => callback(null, response),
      (error: unknown) => callback(toGrpcStatus(error)),
    );
  };
}
