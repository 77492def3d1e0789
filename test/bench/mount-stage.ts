import { mkdir, readFile } from "node:fs/promises";
import { LatencyProxy } from "../support/latency-proxy.ts";
import type { TestRegistry } from "../support/registry.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import type { BenchContext } from "./bench-context.ts";
import { BenchMount, type BenchMountOptions } from "./bench-mount.ts";
import { whyNoMounts } from "./drop-caches.ts";
import { REPOSITORY, startRegistry, TAG } from "./image-of-layers.ts";
import type { LayerFile } from "./layer-file.ts";
import { runCommand } from "./run-command.ts";

export const DELAY_MS = 50;
export const GIGABIT_BYTES = 125e6;

/** What `create --json` says. */
interface CreateReport {
  readonly size: number;
  readonly layers: readonly { readonly layer: string; readonly ztocSize?: number }[];
}

export interface MountStageOptions {
  readonly context: BenchContext;
  readonly layers: readonly LayerFile[];
}

/** An indexed image in a registry, near and at the end of a long line, to be mounted. */
export class MountStage implements AsyncDisposable {
  readonly dir: TempDir;
  readonly registry: TestRegistry;
  /** The registry behind 50 ms a request and 1 Gbit/s. */
  readonly line: LatencyProxy;
  readonly layers: readonly LayerFile[];
  /** Of the image's zTOCs together. */
  readonly ztocBytes: number;
  readonly #context: BenchContext;
  readonly #resources: AsyncDisposableStack;
  #mounts = 0;

  private constructor(
    { context, layers }: MountStageOptions,
    made: {
      readonly dir: TempDir;
      readonly registry: TestRegistry;
      readonly line: LatencyProxy;
      readonly ztocBytes: number;
      readonly resources: AsyncDisposableStack;
    },
  ) {
    this.dir = made.dir;
    this.registry = made.registry;
    this.line = made.line;
    this.ztocBytes = made.ztocBytes;
    this.layers = layers;
    this.#context = context;
    this.#resources = made.resources;
  }

  static async open(options: MountStageOptions): Promise<MountStage> {
    const reason = whyNoMounts();
    if (reason !== undefined) throw new Error(`Cannot mount here: ${reason}`);
    const { layers, context } = options;
    await using resources = new AsyncDisposableStack();
    const dir = resources.use(await tempDir());
    const registry = resources.use(await startRegistry(dir.join("blobs"), layers));
    const line = resources.use(
      await LatencyProxy.start({
        target: registry.host,
        delayMs: DELAY_MS,
        bytesPerSecond: GIGABIT_BYTES,
      }),
    );
    const ztocBytes = await pushIndex(imageAt(registry.host), dir, context);
    // What was written so far shall not be on its way to the disk while others are measured.
    await runCommand(["sync"], { signal: context.signal });
    return new MountStage(options, { dir, registry, line, ztocBytes, resources: resources.move() });
  }

  /** The zTOC of one of its layers, which the binary makes anew. */
  async ztocOf({ path }: LayerFile): Promise<Uint8Array> {
    const { binary, signal } = this.#context;
    const output = this.dir.join("layer.ztoc");
    await runCommand([binary, "ztoc", "create", path, "--output", output], { signal });
    return await readFile(output);
  }

  /** An empty state root and a directory to mount on, both new. */
  async fresh(): Promise<Pick<BenchMountOptions, "root" | "directory">> {
    this.#mounts += 1;
    const root = this.dir.join(`root-${this.#mounts}`);
    const directory = this.dir.join(`mnt-${this.#mounts}`);
    await mkdir(directory);
    return { root, directory };
  }

  /** Mounts the image: by default from the end of the line, with a fresh state root. */
  async mount(options: Partial<BenchMountOptions> = {}): Promise<BenchMount> {
    const { binary, signal } = this.#context;
    const fresh = await this.fresh();
    return await BenchMount.start({
      binary,
      image: imageAt(this.line.host),
      signal,
      ...fresh,
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

export function imageAt(host: string): string {
  return `${host}/${REPOSITORY}:${TAG}`;
}

/** Where a layer's blob is. */
export function blobAt(host: string, { digest }: LayerFile): string {
  return `http://${host}/v2/${REPOSITORY}/blobs/${digest}`;
}

async function pushIndex(
  image: string,
  dir: TempDir,
  { binary, signal }: BenchContext,
): Promise<number> {
  const root = ["--root", dir.join("index")];
  const create = [binary, "create", "--json", "--min-layer-size", "0", ...root, image];
  const { stdout } = await runCommand(create, { signal });
  const [report] = JSON.parse(new TextDecoder().decode(stdout)) as readonly CreateReport[];
  if (report === undefined) throw new Error("nothing was indexed");
  await runCommand([binary, "push", ...root, image], { signal });
  return report.layers.reduce((sum, { ztocSize = 0 }) => sum + ztocSize, 0);
}
