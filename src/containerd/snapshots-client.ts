import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { Mount } from "./api/mount.ts";
import {
  type Labels,
  SNAPSHOT_INFO,
  type SnapshotInfo,
  SNAPSHOTS_SERVICE,
  type UsageResponse,
} from "./api/snapshots.ts";
import type { ContainerdCalls } from "./containerd-calls.ts";

export interface PrepareOptions extends WaitOptions {
  /** A committed snapshot; none is an empty file system. */
  readonly parent?: string;
  readonly labels?: Labels;
}

/** The snapshots of one snapshotter in one namespace. */
export class SnapshotsClient {
  readonly snapshotter: string;
  readonly #calls: ContainerdCalls;

  constructor(calls: ContainerdCalls, snapshotter: string) {
    this.#calls = calls;
    this.snapshotter = snapshotter;
  }

  /** @throws already-exists, for a layer that the snapshotter has made itself, too */
  async prepare(
    key: string,
    { parent = "", labels = {}, signal }: PrepareOptions = {},
  ): Promise<readonly Mount[]> {
    const request = { snapshotter: this.snapshotter, key, parent, labels };
    // A snapshotter may fetch the whole layer meanwhile.
    const options = { what: `prepare snapshot "${key}"`, signal, timeoutMs: 0 };
    return (await this.#calls.unary(SNAPSHOTS_SERVICE.prepare, request, options)).mounts;
  }

  async view(
    key: string,
    { parent = "", labels = {}, signal }: PrepareOptions = {},
  ): Promise<readonly Mount[]> {
    const request = { snapshotter: this.snapshotter, key, parent, labels };
    const what = `view snapshot "${parent}"`;
    return (await this.#calls.unary(SNAPSHOTS_SERVICE.view, request, { what, signal })).mounts;
  }

  async mounts(key: string, { signal }: WaitOptions = {}): Promise<readonly Mount[]> {
    const request = { snapshotter: this.snapshotter, key };
    const what = `get the mounts of snapshot "${key}"`;
    return (await this.#calls.unary(SNAPSHOTS_SERVICE.mounts, request, { what, signal })).mounts;
  }

  /** @throws already-exists */
  async commit(
    key: string,
    {
      name,
      labels = {},
      signal,
    }: WaitOptions & { readonly name: string; readonly labels?: Labels },
  ): Promise<void> {
    const request = { snapshotter: this.snapshotter, name, key, labels };
    // What a snapshot takes on disk is counted meanwhile.
    const options = { what: `commit snapshot "${key}"`, signal, timeoutMs: 0 };
    await this.#calls.unary(SNAPSHOTS_SERVICE.commit, request, options);
  }

  async remove(key: string, { signal }: WaitOptions = {}): Promise<void> {
    const request = { snapshotter: this.snapshotter, key };
    const what = `remove snapshot "${key}"`;
    await this.#calls.unary(SNAPSHOTS_SERVICE.remove, request, { what, signal });
  }

  /** `undefined` when there is none. */
  async stat(key: string, { signal }: WaitOptions = {}): Promise<SnapshotInfo | undefined> {
    const request = { snapshotter: this.snapshotter, key };
    const what = `look up snapshot "${key}"`;
    try {
      const { info } = await this.#calls.unary(SNAPSHOTS_SERVICE.stat, request, { what, signal });
      return info;
    } catch (error) {
      if (isKind(error, "not-found")) return undefined;
      throw error;
    }
  }

  /** Sets labels; an empty one is taken away. The others stay. */
  async setLabels(
    key: string,
    { labels, signal }: WaitOptions & { readonly labels: Labels },
  ): Promise<SnapshotInfo> {
    const request = {
      snapshotter: this.snapshotter,
      info: SNAPSHOT_INFO.create({ name: key, labels }),
      updateMask: { paths: Object.keys(labels).map((label) => `labels.${label}`) },
    };
    const what = `label snapshot "${key}"`;
    const { info } = await this.#calls.unary(SNAPSHOTS_SERVICE.update, request, { what, signal });
    if (info === undefined) throw new SociError("internal", `Cannot ${what}: no answer`);
    return info;
  }

  async *list(
    filters: readonly string[] = [],
    { signal }: WaitOptions = {},
  ): AsyncGenerator<SnapshotInfo> {
    const request = { snapshotter: this.snapshotter, filters };
    const what = `list the snapshots of "${this.snapshotter}"`;
    for await (const { info } of this.#calls.stream(SNAPSHOTS_SERVICE.list, request, {
      what,
      signal,
    })) {
      yield* info;
    }
  }

  async usage(key: string, { signal }: WaitOptions = {}): Promise<UsageResponse> {
    const request = { snapshotter: this.snapshotter, key };
    const what = `measure snapshot "${key}"`;
    return await this.#calls.unary(SNAPSHOTS_SERVICE.usage, request, { what, signal });
  }

  async cleanup({ signal }: WaitOptions = {}): Promise<void> {
    const request = { snapshotter: this.snapshotter };
    const what = `clean up "${this.snapshotter}"`;
    await this.#calls.unary(SNAPSHOTS_SERVICE.cleanup, request, { what, signal });
  }
}
