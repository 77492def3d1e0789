import { listMounts, type MountInfo } from "../../src/sys/mountinfo.ts";
import { ContainerdProcess } from "./containerd-process.ts";
import { type CriOptions, containerdAddress } from "./containerd-config.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { TestRegistry } from "./registry.ts";
import type { RegistryManners, RequestRecord } from "./registry-manners.ts";
import { putServeImage, type ServeImage, type ServeImageOptions } from "./serve-image.ts";
import { type ServeOptions, ServeProcess, type ServeRecord } from "./serve-process.ts";
import { SmallDisk } from "./small-disk.ts";
import { type Finished, runProgram, SOCIABLE } from "./sociable-binary.ts";
import { type TempDir, tempDir } from "./temp-dir.ts";

export interface ServeHostOptions {
  /** Of the snapshotter; it may need to know containerd's socket. */
  readonly config?: string | ((containerd: string) => string);
  readonly env?: Readonly<Record<string, string>>;
  /** As ServeOptions. */
  readonly command?: readonly string[];
  readonly flags?: readonly string[];
  readonly manners?: Partial<RegistryManners>;
  /** The state root is a disk of this size; default: where the tests are. */
  readonly diskBytes?: number;
  /** Kubernetes' interface of containerd. */
  readonly cri?: Omit<CriOptions, "snapshotter">;
}

/** An image that a host can pull. */
export interface HostImage extends ServeImage {
  /** Its name at the end of the line that can fail. */
  readonly name: string;
}

/** What the log says of each layer that was prepared, in the words of the Go snapshotter. */
export interface PreparedLayers {
  readonly lazily: number;
  readonly whole: number;
  readonly byContainerd: number;
}

export const SNAPSHOTTER = "sociable";
/** For tests that count requests: nothing is fetched that nobody asked for. */
export const NO_FILL = "[background_fetch]\ndisable = true\n";

const PATIENCE_MS = 20_000;
const RETRY_MS = 100;

/** A host with containerd and our snapshotter, and a registry at the end of a line that can fail. */
export class ServeHost implements AsyncDisposable {
  readonly dir: TempDir;
  readonly registry: TestRegistry;
  readonly proxy: FaultProxy;
  readonly containerd: ContainerdProcess;
  readonly serve: ServeProcess;
  readonly disk: SmallDisk | undefined;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    parts: Pick<ServeHost, "dir" | "registry" | "proxy" | "containerd" | "serve" | "disk">,
    resources: AsyncDisposableStack,
  ) {
    this.dir = parts.dir;
    this.registry = parts.registry;
    this.proxy = parts.proxy;
    this.containerd = parts.containerd;
    this.serve = parts.serve;
    this.disk = parts.disk;
    this.#resources = resources;
  }

  static async start({
    config = "",
    env,
    command,
    flags = [],
    manners,
    diskBytes,
    cri,
  }: ServeHostOptions = {}): Promise<ServeHost> {
    await using resources = new AsyncDisposableStack();
    const dir = resources.use(await tempDir());
    const registry = resources.use(TestRegistry.start(manners));
    const proxy = resources.use(await FaultProxy.start(registry.host));
    const address = containerdAddress(dir.join("containerd"));
    const options: ServeOptions = {
      directory: dir.join("serve"),
      containerd: address,
      config: typeof config === "string" ? config : config(address),
      flags,
      ...(command === undefined ? {} : { command }),
      ...(env === undefined ? {} : { env }),
    };
    const disk =
      diskBytes === undefined
        ? undefined
        : resources.use(SmallDisk.mount(dir.join("serve", "root"), diskBytes));
    const serve = resources.use(await ServeProcess.start(options));
    const containerd = resources.use(
      await ContainerdProcess.start({
        directory: dir.join("containerd"),
        proxySnapshotters: { [SNAPSHOTTER]: serve.address },
        cri: cri === undefined ? undefined : { snapshotter: SNAPSHOTTER, ...cri },
      }),
    );
    return new ServeHost({ dir, registry, proxy, containerd, serve, disk }, resources.move());
  }

  async put(options: ServeImageOptions): Promise<HostImage> {
    const put = await putServeImage(this.registry, options);
    this.registry.clearRequests();
    return { ...put, name: `${this.proxy.host}/${options.repository}:latest` };
  }

  /** Runs `sociable pull`, through our snapshotter unless told otherwise. */
  async pull(name: string, flags: readonly string[] = []): Promise<Finished> {
    const address = ["--address", this.containerd.address];
    return await runProgram([SOCIABLE, "pull", ...address, ...flags, name]);
  }

  /** As pull(), for what must succeed. @throws with what it printed, and the end of the snapshotter's log */
  async pulled(name: string, flags: readonly string[] = []): Promise<void> {
    const { code, stderr } = await this.pull(name, flags);
    if (code === 0) return;
    throw new Error(
      `sociable pull ended with ${code}: ${stderr}\n${this.serve.stderr.slice(-4000)}`,
    );
  }

  /** Runs a container to its end; resolves to its output. @throws with what was printed when it fails */
  async run(
    name: string,
    args: readonly string[],
    { flags = [], namespace = "default" }: { flags?: readonly string[]; namespace?: string } = {},
  ): Promise<string> {
    const { code, stdout, stderr } = await this.containerd.runContainer({
      image: name,
      snapshotter: SNAPSHOTTER,
      args,
      flags,
      namespace,
    });
    if (code === 0) return Buffer.from(stdout).toString();
    throw new Error(
      `${args.join(" ")} ended with ${code}: ${stderr}\n${this.serve.stderr.slice(-4000)}`,
    );
  }

  /** Pulls the image in full, too, and tells what differs from it. */
  async differences(name: string): Promise<readonly string[]> {
    await this.containerd.pull(name);
    return await this.containerd.compareRootfs(name, { snapshotters: [SNAPSHOTTER, "overlayfs"] });
  }

  /** Starts the snapshotter again, and waits until containerd has found it. */
  async restartServe(): Promise<void> {
    await this.serve.restart();
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      // containerd fails calls while it waits to dial again: up to a second, longer each time.
      const list = ["snapshots", "--snapshotter", SNAPSHOTTER, "list"];
      const { code, stderr } = await this.containerd.ctr(list);
      if (code === 0) return;
      if (performance.now() > deadline) throw new Error(`containerd does not find it: ${stderr}`);
      await Bun.sleep(RETRY_MS);
    }
  }

  /** How layers were prepared so far. */
  get prepared(): PreparedLayers {
    const count = (field: string): number =>
      this.serve.records.filter((record: ServeRecord) => record[field] === "true").length;
    return {
      lazily: count("remote-snapshot-prepared"),
      whole: count("local-snapshot-prepared"),
      byContainerd: count("defer-snapshot-runtime"),
    };
  }

  /** Requests for bytes of an image's layers. */
  layerRequests({ image }: HostImage): readonly RequestRecord[] {
    const digests = image.layers.map(({ descriptor }) => descriptor.digest);
    return this.registry.requests.filter(
      ({ method, path }) => method === "GET" && digests.some((digest) => path.includes(digest)),
    );
  }

  /** Mounts of the snapshotter's own. */
  async ownMounts(): Promise<readonly MountInfo[]> {
    return (await listMounts()).filter(({ mountPoint }) => mountPoint.startsWith(this.serve.root));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}
