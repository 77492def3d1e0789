import { startDockerRegistry } from "../support/docker-registry.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import type { BenchContext } from "./bench-context.ts";
import { whyNoMounts } from "./drop-caches.ts";
import { DELAY_MS, GIGABIT_BYTES } from "./mount-stage.ts";

/**
 * Images that rows of `serve` work on, in `--images DIR`: the directory of a docker-registry, with its
 * storage in DIR/registry, that has them as `bench/<name>:latest` with their SOCI index pushed.
 */
export const SERVE_IMAGES = {
  /** Python with numpy, and Node; about 695 MB (215 MB compressed) in one layer. */
  one: "pynode-1",
  /** The same files in 32 layers. */
  many: "pynode-32",
  /** Python with pandas and scipy; about 582 MB (197 MB). */
  pandas: "pandas-1",
  /** 100 MB. */
  small: "small-1",
  /** 1.3 GB. */
  large: "large-1",
} as const;

/** Of 50 images that share no layer: `bench/host-1` and so on. */
export const HOST_IMAGE = "host";

export interface ServeStageOptions {
  readonly context: BenchContext;
  readonly delayMs?: number;
  readonly bytesPerSecond?: number;
}

/** A registry with the images, near and at the end of a long line. */
export class ServeStage implements AsyncDisposable {
  readonly dir: TempDir;
  /** Host and port of the registry itself. */
  readonly host: string;
  /** By default 50 ms a request and 1 Gbit/s. */
  readonly line: LatencyProxy;
  readonly #resources: AsyncDisposableStack;
  #worlds = 0;

  private constructor(
    made: { readonly dir: TempDir; readonly host: string; readonly line: LatencyProxy },
    resources: AsyncDisposableStack,
  ) {
    this.dir = made.dir;
    this.host = made.host;
    this.line = made.line;
    this.#resources = resources;
  }

  static async open({
    context,
    delayMs = DELAY_MS,
    bytesPerSecond = GIGABIT_BYTES,
  }: ServeStageOptions): Promise<ServeStage> {
    const reason = whyNoServe(context);
    if (reason !== undefined) throw new Error(`Cannot measure serve here: ${reason}`);
    await using resources = new AsyncDisposableStack();
    const dir = resources.use(await tempDir());
    const directory = context.images ?? "";
    const { host } = resources.use(await startDockerRegistry("docker-registry", { directory }));
    const line = resources.use(await LatencyProxy.start({ target: host, delayMs, bytesPerSecond }));
    return new ServeStage({ dir, host, line }, resources.move());
  }

  /** A directory that nobody has used. */
  fresh(): string {
    this.#worlds += 1;
    return this.dir.join(`w${this.#worlds}`);
  }

  /** Bytes of an image's zTOCs together, and of its layers. */
  async sizesOf(
    image: string,
  ): Promise<{ readonly ztocBytes: number; readonly layerBytes: number }> {
    const manifest = await this.#manifest(image, "latest");
    // docker-registry has no Referrers API: the index is under the tag that takes its place.
    const { manifests = [] } = await this.#manifest(image, manifest.digest.replace(":", "-"));
    const [index] = manifests;
    if (index === undefined) throw new Error(`${image} has no SOCI index`);
    const { layers = [] } = await this.#manifest(image, index.digest);
    return { ztocBytes: sumOf(layers), layerBytes: sumOf(manifest.layers ?? []) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #manifest(image: string, reference: string): Promise<Manifest & { digest: string }> {
    const response = await fetch(`http://${this.host}/v2/bench/${image}/manifests/${reference}`, {
      headers: { accept: ACCEPTED.join(", ") },
    });
    if (!response.ok) throw new Error(`bench/${image} has no manifest ${reference}`);
    const digest = response.headers.get("docker-content-digest") ?? "";
    return { ...((await response.json()) as Manifest), digest };
  }
}

interface Manifest {
  readonly manifests?: readonly { readonly digest: string }[];
  readonly layers?: readonly { readonly size: number }[];
}

const ACCEPTED = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
];
const PROGRAMS = ["containerd", "ctr", "runc", "docker-registry"];

/** The name of an image of SERVE_IMAGES at a registry. */
export function serveImageAt(host: string, image: string): string {
  return `${host}/bench/${image}:latest`;
}

function whyNoServe({ images }: BenchContext): string | undefined {
  if (images === undefined) return "--images DIR is not given";
  const missing = PROGRAMS.filter((program) => Bun.which(program) === null);
  return missing.length > 0 ? `${missing.join(", ")} not installed` : whyNoMounts();
}

function sumOf(sized: readonly { readonly size: number }[]): number {
  return sized.reduce((sum, { size }) => sum + size, 0);
}
