import { Client, type ClientOptions, credentials } from "@grpc/grpc-js";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { INTROSPECTION_SERVICE, type Plugin } from "./api/introspection.ts";
import { VERSION_SERVICE, type VersionResponse } from "./api/version.ts";
import { type CallScope, ContainerdCalls } from "./containerd-calls.ts";
import { ContentClient } from "./content-client.ts";
import { DiffClient } from "./diff-client.ts";
import { ImagesClient } from "./images-client.ts";
import { LeasesClient } from "./leases-client.ts";
import { NamespacesClient } from "./namespaces-client.ts";
import { SnapshotsClient } from "./snapshots-client.ts";

export const DEFAULT_CONTAINERD_ADDRESS = "/run/containerd/containerd.sock";

const MiB = 1024 * 1024;
const OPTIONS: ClientOptions = {
  "grpc.max_receive_message_length": 16 * MiB,
  "grpc.max_send_message_length": 16 * MiB,
  // containerd may be started after us, or again: it is there when somebody needs it.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1000,
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
};

/** What lies in one namespace of containerd. */
export interface ContainerdNamespace {
  readonly name: string;
  readonly lease: string | undefined;
  readonly content: ContentClient;
  readonly images: ImagesClient;
  readonly leases: LeasesClient;
  readonly diff: DiffClient;
  snapshots(snapshotter: string): SnapshotsClient;
  /** The same, where everything that is made belongs to a lease. */
  withLease(lease: string): ContainerdNamespace;
}

/**
 * containerd, by its socket. Nothing is asked, and no connection made, before the first call; a
 * connection that broke is made again.
 */
export class ContainerdClient implements AsyncDisposable {
  readonly address: string;
  readonly namespaces: NamespacesClient;
  readonly #client: Client;
  readonly #calls: ContainerdCalls;

  /** A path, or `unix://` and a path. @throws invalid-argument */
  constructor(address: string = DEFAULT_CONTAINERD_ADDRESS) {
    this.address = socketPath(address);
    const connect = (options: ClientOptions): Client =>
      new Client(`unix:${this.address}`, credentials.createInsecure(), { ...OPTIONS, ...options });
    this.#client = connect({});
    this.#calls = new ContainerdCalls(this.#client, {
      connect: () => connect({ "grpc.use_local_subchannel_pool": 1 }),
    });
    this.namespaces = new NamespacesClient(this.#calls);
  }

  /** Not asked whether it exists: containerd makes namespaces as they are used. */
  namespace(name: string, { lease }: Pick<CallScope, "lease"> = {}): ContainerdNamespace {
    const calls = this.#calls.within({ namespace: name, lease });
    return {
      name,
      lease,
      content: new ContentClient(calls),
      images: new ImagesClient(calls),
      leases: new LeasesClient(calls),
      diff: new DiffClient(calls),
      snapshots: (snapshotter) => new SnapshotsClient(calls, snapshotter),
      withLease: (id) => this.namespace(name, { lease: id }),
    };
  }

  /** @throws unavailable when nobody listens */
  async version({ signal }: WaitOptions = {}): Promise<VersionResponse> {
    const what = `ask containerd at "${this.address}" for its version`;
    return await this.#calls.unary(VERSION_SERVICE.version, {}, { what, signal });
  }

  /** Its plugins, by filters such as `type==io.containerd.snapshotter.v1`. */
  async plugins(
    filters: readonly string[] = [],
    { signal }: WaitOptions = {},
  ): Promise<readonly Plugin[]> {
    const what = "list the plugins of containerd";
    const request = { filters };
    return (await this.#calls.unary(INTROSPECTION_SERVICE.plugins, request, { what, signal }))
      .plugins;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
  }
}

/** containerd's forms of an address. */
function socketPath(address: string): string {
  const path = address.replace(/^unix:(?:\/\/)?/, "");
  if (!path.startsWith("/")) {
    throw new SociError(
      "invalid-argument",
      `Cannot use ${JSON.stringify(address)} as address of containerd: want an absolute path or unix://PATH`,
    );
  }
  return path;
}
