import type { WaitOptions } from "../async/wait-options.ts";
import type { CachedLayer } from "../cache/cached-layer.ts";
import { SociError } from "../errors.ts";
import type { LayerOutcome } from "../image/layer-outcome.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import type {
  ImageAnswer,
  LayerAnswer,
  LayerRequest,
  PrepareImageOptions,
  RefusalReason,
  ServedLayer,
} from "../snapshotter/layer-mounter.ts";
import { imageChainId } from "./image-chain-id.ts";
import type { ImageName, ImageSession, ImageSessions } from "./image-sessions.ts";
import type { LayerStock } from "./layer-stock.ts";

export interface LayerAnswersOptions {
  readonly sessions: ImageSessions;
  readonly stock: LayerStock;
  /** Told of each layer that can be served, with all of its image's. */
  readonly onServed: (session: ImageSession, chain: readonly Digest[], layer: ServedLayer) => void;
  readonly events: LayerAnswerEvents;
  /** How long a layer may take that is not downloaded whole. */
  readonly timeoutMs: number;
  /** How much longer one may take that is. */
  readonly streamMs?: number;
  readonly log: Logger;
}

/** For metrics. */
export interface LayerAnswerEvents {
  /** A layer can be served. */
  served(layer: Digest, ms: number): void;
  refused(layer: Digest, reason: RefusalReason, detail: string): void;
}

/** A layer that has been promised to a snapshot is kept for so long, until the snapshot says that it is there. */
const PROMISE_MS = 60_000;
/** The longest that a layer which is read whole may take: containerd can collect nothing meanwhile. */
const STREAM_MS = 30 * 60_000;

/** Says of layers whether they can be served, and keeps those that it has promised for a while. */
export class LayerAnswers implements Disposable {
  readonly #options: LayerAnswersOptions;
  readonly #log: Logger;
  readonly #promises = new Map<string, NodeJS.Timeout>();
  #lastPromise = 0;

  constructor(options: LayerAnswersOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** As LayerMounter has it. */
  async prepareLayer(request: LayerRequest, { signal }: WaitOptions = {}): Promise<LayerAnswer> {
    const { layerDigest } = request;
    const begun = performance.now();
    try {
      const answer = await this.#options.sessions.use(
        nameOf(request),
        (session) => this.#prepare(request, session, signal),
        { signal },
      );
      if (answer.kind === "served") {
        this.#options.events.served(layerDigest, performance.now() - begun);
      } else {
        this.#options.events.refused(layerDigest, answer.reason, answer.detail);
      }
      return answer;
    } catch (error) {
      signal?.throwIfAborted();
      const reason = error instanceof SociError ? "registry" : "internal";
      this.#log.error("layer cannot be prepared", {
        layer: layerDigest,
        image: request.imageReference,
        error,
      });
      const detail = messageOf(error);
      this.#options.events.refused(layerDigest, reason, detail);
      return { kind: "refused", reason, detail };
    }
  }

  /** As LayerMounter has it. */
  async prepareImage(
    request: LayerRequest,
    { target, signal }: PrepareImageOptions,
  ): Promise<ImageAnswer> {
    try {
      return await this.#options.sessions.use(
        nameOf(request),
        (session) => this.#prepareAll(request, session, { target, signal }),
        { signal },
      );
    } catch (error) {
      signal?.throwIfAborted();
      // The layer that the labels name may be here all the same, and has a reason of its own if not.
      const answer = await this.prepareLayer(request, { signal });
      const detail = messageOf(error);
      return answer.kind === "refused" ? answer : { kind: "refused", reason: "registry", detail };
    }
  }

  /**
   * A snapshot holds a layer that was promised: the oldest promise ends, for others may be those of other
   * snapshots of the same layer.
   */
  keepPromise(cacheKey: string): void {
    for (const holder of this.#promises.keys()) {
      if (!holder.endsWith(cacheKey)) continue;
      this.#endPromise(holder);
      return;
    }
  }

  /** Gives up what was promised; the layers are the stock's. */
  [Symbol.dispose](): void {
    for (const timer of this.#promises.values()) clearTimeout(timer);
  }

  /**
   * Layers bring labels of their own, which whoever has made the image writes: the wish for all of them
   * may be none of the client's. Under any other name than that of all of them they would be taken for
   * layers of another image.
   */
  async #prepareAll(
    request: LayerRequest,
    { source, preparation }: ImageSession,
    { target, signal }: PrepareImageOptions,
  ): Promise<ImageAnswer> {
    const late = AbortSignal.timeout(this.#options.timeoutMs);
    const inTime = signal === undefined ? late : AbortSignal.any([signal, late]);
    const { manifest } = await preparation.image({ signal: inTime });
    const [chainId, ...answers] = await Promise.all([
      imageChainId(source, manifest, { signal: inTime }),
      ...manifest.layers.map(({ digest: layerDigest }) =>
        this.prepareLayer({ ...request, layerDigest }, { signal }),
      ),
    ]);
    if (chainId !== target) {
      const detail = `Cannot serve image ${request.manifestDigest} as ${target}: its layers are ${chainId}`;
      this.#options.events.refused(request.layerDigest, "data", detail);
      return { kind: "refused", reason: "data", detail };
    }
    const layers: ServedLayer[] = [];
    for (const answer of answers) {
      if (answer.kind === "refused") return answer;
      layers.push(answer.layer);
    }
    return {
      kind: "served",
      layers,
      isWhole: answers.some((answer) => answer.kind === "served" && answer.isWhole),
      hasIndex: answers.some((answer) => answer.kind === "served" && answer.hasIndex),
    };
  }

  async #prepare(
    request: LayerRequest,
    session: ImageSession,
    signal: AbortSignal | undefined,
  ): Promise<LayerAnswer> {
    const { layerDigest } = request;
    const { preparation } = session;
    const outcome = await this.#outcomeOf(session, layerDigest, signal);
    if (outcome === "late") {
      const detail = `timeout waiting for layer ${layerDigest} to resolve`;
      return { kind: "refused", reason: "timeout", detail };
    }
    if (outcome.kind === "refused") {
      // A registry may be back, an index be pushed: the next pull looks again.
      this.#options.sessions.expire(session.name);
      return outcome;
    }
    const { descriptor, layer, isWhole, hasIndex } = outcome;
    const { namespace, imageReference, manifestDigest } = request;
    const { digest, size, mediaType } = descriptor;
    const name = { namespace, imageReference, manifestDigest };
    const served = { digest, cacheKey: layer.key, size, mediaType, ...name };
    this.#promise(served, layer);
    // A layer that is in the cache is served also where its image cannot be had.
    const image = await preparation.image({ signal }).catch((error: unknown) => {
      signal?.throwIfAborted();
      this.#log.debug("image of a cached layer cannot be had", { image: imageReference, error });
      return undefined;
    });
    if (image === undefined) this.#options.sessions.expire(session.name);
    else {
      const chain = image.manifest.layers.map((one) => one.digest);
      this.#options.onServed(session, chain, served);
    }
    return { kind: "served", layer: served, isWhole, hasIndex };
  }

  async #outcomeOf(
    { preparation, streamed }: ImageSession,
    digest: Digest,
    signal: AbortSignal | undefined,
  ): Promise<LayerOutcome | "late"> {
    const waiting = new AbortController();
    const outcome = preparation.layer(digest, {
      signal: signal === undefined ? waiting.signal : AbortSignal.any([signal, waiting.signal]),
    });
    const { timeoutMs, streamMs = STREAM_MS } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => {
        if (!streamed.has(digest)) resolve("late");
        // What is downloaded whole takes as long as it takes, but for a registry that never ends.
        else timer = setTimeout(() => resolve("late"), streamMs);
      }, timeoutMs);
    });
    try {
      const first = await Promise.race([outcome, late]);
      if (first === "late") {
        // It goes on for the others. What comes for this one all the same is nobody's.
        outcome.then(closeLayer).catch((error: unknown) => {
          this.#log.debug("layer that came late", { layer: digest, error });
        });
        waiting.abort(new DOMException("nobody waits for the layer", "AbortError"));
      }
      return first;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Between an answer and the snapshot that follows from it nobody else holds the layer. */
  #promise(served: ServedLayer, layer: CachedLayer): void {
    const holder = `promise-${++this.#lastPromise}-${served.cacheKey}`;
    this.#options.stock.hold(holder, served, layer);
    const timer = setTimeout(() => this.#endPromise(holder), PROMISE_MS);
    timer.unref();
    this.#promises.set(holder, timer);
  }

  #endPromise(holder: string): void {
    clearTimeout(this.#promises.get(holder));
    this.#promises.delete(holder);
    this.#options.stock.release(holder);
  }
}

function nameOf(request: LayerRequest): ImageName {
  const { namespace, imageReference, manifestDigest, indexDigest } = request;
  return { namespace, imageReference, manifestDigest, indexDigest };
}

async function closeLayer(outcome: LayerOutcome): Promise<void> {
  if (outcome.kind === "ready") await outcome.layer[Symbol.asyncDispose]();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
