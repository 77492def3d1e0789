import { dirname, join } from "node:path";
import { containerdAddress } from "../support/containerd-config.ts";
import { ContainerdProcess } from "../support/containerd-process.ts";
import { CriClient } from "../support/cri-client.ts";
import { ServeProcess } from "../support/serve-process.ts";
import type { BenchContext } from "./bench-context.ts";
import { cpuSecondsOf } from "./process-figures.ts";
import { runCommand } from "./run-command.ts";
import type { Sample } from "./sample.ts";
import type { ServeStage } from "./serve-stage.ts";

/** How a host has its images' files. */
export interface WorldKind {
  readonly label: string;
  readonly includes: string;
  /** Whose command line pulls. */
  readonly puller: "sociable" | "ctr" | "cri";
  /** What shows the layers: overlayfs is containerd's own. */
  readonly snapshotter: "overlayfs" | "sociable" | "soci";
  readonly config?: string;
}

export const LAZY: WorldKind = {
  label: "sociable",
  includes: "sociable pull through sociable serve, as shipped",
  puller: "sociable",
  snapshotter: "sociable",
};
export const LAZY_NO_FILL: WorldKind = {
  label: "sociable, no fill",
  includes: "the same without the background fill",
  puller: "sociable",
  snapshotter: "sociable",
  config: "[background_fetch]\ndisable = true\n",
};
export const OVERLAY: WorldKind = {
  label: "overlayfs",
  includes: "sociable pull through containerd's overlayfs",
  puller: "sociable",
  snapshotter: "overlayfs",
};
export const CTR: WorldKind = {
  label: "overlayfs, ctr",
  includes: "ctr images pull through overlayfs",
  puller: "ctr",
  snapshotter: "overlayfs",
};
const GO_SOCI: WorldKind = {
  label: "soci-snapshotter",
  includes: "CRI PullImage through soci-snapshotter-grpc, SOCI v1 enabled",
  // It needs the namespace of each call, which containerd 1.6 passes on for its own calls only.
  puller: "cri",
  snapshotter: "soci",
  config: "[pull_modes.soci_v1]\nenable = true\n",
};

/** The Go snapshotter, where it was named: it is looked for beside the Go tool. */
export function peerKinds({ peer }: BenchContext): readonly WorldKind[] {
  return peer === undefined ? [] : [GO_SOCI];
}

export interface WorldOptions {
  readonly context: BenchContext;
  readonly stage: ServeStage;
  readonly kind: WorldKind;
}

/** A host with an empty containerd and, where the kind is one, an empty lazy snapshotter beside it. */
export class ServeWorld implements AsyncDisposable {
  readonly containerd: ContainerdProcess;
  readonly serve: ServeProcess | undefined;
  readonly kind: WorldKind;
  readonly #context: BenchContext;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    { context, kind }: WorldOptions,
    made: { readonly containerd: ContainerdProcess; readonly serve: ServeProcess | undefined },
    resources: AsyncDisposableStack,
  ) {
    this.containerd = made.containerd;
    this.serve = made.serve;
    this.kind = kind;
    this.#context = context;
    this.#resources = resources;
  }

  static async start(options: WorldOptions): Promise<ServeWorld> {
    const { context, stage, kind } = options;
    context.signal.throwIfAborted();
    const directory = stage.fresh();
    await using resources = new AsyncDisposableStack();
    const serve =
      kind.snapshotter === "overlayfs" ? undefined : await startServe(options, directory);
    if (serve !== undefined) resources.use(serve);
    const containerd = resources.use(
      await ContainerdProcess.start({
        directory: join(directory, "containerd"),
        proxySnapshotters: serve === undefined ? {} : { [kind.snapshotter]: serve.address },
        cri: kind.puller === "cri" ? { snapshotter: kind.snapshotter } : undefined,
      }),
    );
    return new ServeWorld(options, { containerd, serve }, resources.move());
  }

  /** Of containerd, where images are pulled to. */
  get namespace(): string {
    return this.kind.puller === "cri" ? "k8s.io" : "default";
  }

  /** Pulls an image; its sample has the CPU time of all that took part. */
  async pull(image: string): Promise<Sample> {
    const { puller, snapshotter } = this.kind;
    const { address } = this.containerd;
    if (puller === "cri") {
      const before = this.#cpuSeconds();
      const started = performance.now();
      using kubelet = new CriClient(address);
      await kubelet.pullImage(image);
      const wallSeconds = (performance.now() - started) / 1000;
      return { wallSeconds, cpuSeconds: this.#cpuSeconds() - before };
    }
    const command =
      puller === "ctr"
        ? this.containerd.ctrCommand([
            "images",
            "pull",
            "--plain-http",
            "--snapshotter",
            snapshotter,
            image,
          ])
        : [
            this.#context.binary,
            "pull",
            "--quiet",
            "--address",
            address,
            "--snapshotter",
            snapshotter,
            image,
          ];
    return await this.measure(command);
  }

  /** Runs a container to its end. */
  async run(image: string, args: readonly string[]): Promise<Sample> {
    const { snapshotter } = this.kind;
    const run = this.containerd.runArguments({ image, snapshotter, args });
    const { namespace } = this;
    return await this.measure(this.containerd.ctrCommand(run, { namespace }));
  }

  /** Measures a command with the CPU time of the host's daemons. */
  async measure(command: readonly string[]): Promise<Sample> {
    const before = this.#cpuSeconds();
    const { wallSeconds, cpuSeconds } = await runCommand(command, { signal: this.#context.signal });
    return { wallSeconds, cpuSeconds: cpuSeconds + this.#cpuSeconds() - before };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The daemon's mounts go after the containers that use them.
    await this.#resources.disposeAsync();
  }

  #cpuSeconds(): number {
    const pids = [this.containerd.pid, ...(this.serve === undefined ? [] : [this.serve.pid])];
    return pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  }
}

async function startServe(
  { context, kind: { snapshotter, config = "" } }: WorldOptions,
  directory: string,
): Promise<ServeProcess> {
  const { binary, peer = "" } = context;
  const command =
    snapshotter === "soci" ? [join(dirname(peer), "soci-snapshotter-grpc")] : [binary, "serve"];
  return await ServeProcess.start({
    directory: join(directory, "serve"),
    containerd: containerdAddress(join(directory, "containerd")),
    config,
    command,
  });
}
