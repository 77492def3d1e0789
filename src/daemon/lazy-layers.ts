import { abortable } from "../async/abortable.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import type {
  ImageAnswer,
  LayerAnswer,
  LayerMounter,
  LayerRequest,
  MountStackOptions,
  PrepareImageOptions,
  RestoredSnapshots,
  ServedLayer,
} from "../snapshotter/layer-mounter.ts";
import type { ImageSessions } from "./image-sessions.ts";
import { type LayerAnswerEvents, LayerAnswers, type LayerAnswersOptions } from "./layer-answers.ts";
import { LayerStacks, type LayerStacksOptions } from "./layer-stacks.ts";
import type { LayerStock } from "./layer-stock.ts";

export interface LazyLayersOptions
  extends Omit<LayerAnswersOptions, "events">, Omit<LayerStacksOptions, "onShown"> {
  readonly sessions: ImageSessions;
  readonly stock: LayerStock;
  readonly collect: () => Promise<void>;
  readonly events: LazyLayerEvents;
  readonly timeoutMs: number;
  readonly log: Logger;
}

/** For metrics. */
export interface LazyLayerEvents extends LayerAnswerEvents {
  shown(layers: number, ms: number): void;
}

/** What shows layers to the snapshotter, out of the cache and the registry. */
export class LazyLayers implements LayerMounter, AsyncDisposable {
  readonly #options: LazyLayersOptions;
  readonly #answers: LayerAnswers;
  readonly #stacks: LayerStacks;

  constructor(options: LazyLayersOptions) {
    const { events } = options;
    this.#options = options;
    this.#answers = new LayerAnswers(options);
    this.#stacks = new LayerStacks({ ...options, onShown: (count, ms) => events.shown(count, ms) });
  }

  prepareLayer(request: LayerRequest, options: WaitOptions = {}): Promise<LayerAnswer> {
    return this.#answers.prepareLayer(request, options);
  }

  prepareImage(request: LayerRequest, options: PrepareImageOptions): Promise<ImageAnswer> {
    return this.#answers.prepareImage(request, options);
  }

  holdLayer(snapshot: string, layer: ServedLayer): void {
    this.#options.stock.hold(snapshot, layer);
    this.#answers.keepPromise(layer.cacheKey);
  }

  mountStack(layers: readonly ServedLayer[], options: MountStackOptions): Promise<string> {
    return this.#stacks.mount(layers, options);
  }

  release(snapshot: string): void {
    this.#stacks.release(snapshot);
    this.#options.stock.release(snapshot);
    this.#stacks.releaseOrphans();
  }

  async restore({ layers, stacks }: RestoredSnapshots): Promise<void> {
    for (const { snapshot, layer } of layers) this.#options.stock.hold(snapshot, layer);
    const shown = await this.#stacks.restore(stacks);
    this.#options.log.info("snapshots restored", {
      layers: new Set(layers.map(({ layer }) => layer.digest)).size,
      stacks: shown,
    });
  }

  /** The daemon ends and its mounts stay, as LayerStacks.leave() says. */
  async leave(): Promise<void> {
    this.#answers[Symbol.dispose]();
    await this.#stacks.leave();
  }

  /** Snapshots that use a stack, for whoever says what a goodbye costs. */
  users(): readonly string[] {
    return this.#stacks.users();
  }

  async cleanup(options: WaitOptions = {}): Promise<void> {
    this.#options.sessions.endIdle();
    await abortable(this.settled(), options.signal);
    options.signal?.throwIfAborted();
    await this.#options.collect();
  }

  /** How many stacks have this layer. */
  stacksWith(digest: Digest): number {
    return this.#stacks.countWith(digest);
  }

  /** Resolves when what was released is taken away. */
  async settled(): Promise<void> {
    await this.#stacks.hidden();
    await this.#options.stock.settled();
  }

  /** Takes all stacks away; layers, mounts and sessions are closed by their owners, afterwards. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#answers[Symbol.dispose]();
    await this.#stacks[Symbol.asyncDispose]();
  }
}
