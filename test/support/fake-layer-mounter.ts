import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SociError } from "../../src/errors.ts";
import { type Digest, digestOf, hexOf } from "../../src/oci/digest.ts";
import type {
  ImageAnswer,
  LayerAnswer,
  LayerMounter,
  LayerRequest,
  MountStackOptions,
  PrepareImageOptions,
  RestoredSnapshots,
  ServedLayer,
} from "../../src/snapshotter/layer-mounter.ts";

/** A layer as the fake serves it. */
export function servedLayer(request: LayerRequest): ServedLayer {
  return {
    digest: request.layerDigest,
    cacheKey: request.layerDigest,
    size: request.layerSize ?? 1234,
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
    namespace: request.namespace,
    imageReference: request.imageReference,
    manifestDigest: request.manifestDigest,
  };
}

type Answer = (
  request: LayerRequest,
  signal: AbortSignal | undefined,
) => LayerAnswer | Promise<LayerAnswer>;

/**
 * Serves every layer, unless it is told otherwise, and shows a stack as a plain directory with one
 * file for each layer. Remembers what it holds.
 */
export class FakeLayerMounter implements LayerMounter {
  /** What prepareLayer() says. */
  answer: Answer = (request) => ({
    kind: "served",
    layer: servedLayer(request),
    isWhole: false,
    hasIndex: true,
  });
  /** Layers that cannot be shown. */
  readonly lost = new Set<Digest>();
  readonly requests: LayerRequest[] = [];
  /** By snapshot. */
  readonly layers = new Map<string, ServedLayer>();
  /** By holder. */
  readonly stacks = new Map<
    string,
    {
      readonly directory: string;
      readonly layers: readonly ServedLayer[];
      options: MountStackOptions;
    }
  >();
  restored: RestoredSnapshots | undefined;
  cleanups = 0;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async prepareLayer(
    request: LayerRequest,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<LayerAnswer> {
    this.requests.push(request);
    return await this.answer(request, signal);
  }

  /** The layers of every image, bottom first. */
  image: readonly Digest[] = [];
  /** Of prepareImage(). */
  readonly targets: string[] = [];

  async prepareImage(request: LayerRequest, options: PrepareImageOptions): Promise<ImageAnswer> {
    this.targets.push(options.target);
    const layers: ServedLayer[] = [];
    for (const layerDigest of this.image) {
      const answer = await this.prepareLayer({ ...request, layerDigest }, options);
      if (answer.kind === "refused") return answer;
      layers.push(answer.layer);
    }
    return { kind: "served", layers, isWhole: false, hasIndex: true };
  }

  holdLayer(snapshot: string, layer: ServedLayer): void {
    if (this.layers.get(snapshot)?.digest === layer.digest) {
      throw new Error(`${snapshot} is held already`);
    }
    this.layers.set(snapshot, layer);
  }

  async mountStack(layers: readonly ServedLayer[], options: MountStackOptions): Promise<string> {
    const lost = layers.find(({ digest }) => this.lost.has(digest));
    if (lost !== undefined) {
      throw new SociError("unavailable", `layer "${options.top}" unavailable`);
    }
    const ids = JSON.stringify(options.ids ?? null);
    const key = digestOf([...layers.map(({ digest }) => digest), ids].join("\n"));
    const directory = join(this.#directory, hexOf(key).slice(0, 16));
    await mkdir(directory, { recursive: true });
    for (const { digest } of layers) {
      await writeFile(join(directory, hexOf(digest).slice(0, 12)), digest);
    }
    this.stacks.set(options.holder, { directory, layers, options });
    return directory;
  }

  release(snapshot: string): void {
    this.layers.delete(snapshot);
    this.stacks.delete(snapshot);
  }

  async restore(state: RestoredSnapshots): Promise<void> {
    this.restored = state;
    for (const { snapshot, layer } of state.layers) this.holdLayer(snapshot, layer);
    for (const { layers, options } of state.stacks) await this.mountStack(layers, options);
  }

  async cleanup(): Promise<void> {
    this.cleanups += 1;
  }
}
