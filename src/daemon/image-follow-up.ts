import type { SpanScheduler } from "../fetch/span-scheduler.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import type { ServedLayer } from "../snapshotter/layer-mounter.ts";
import type { BackgroundFilling } from "./background-filling.ts";
import type { ImageSession } from "./image-sessions.ts";
import type { LayerStock, StockedLayer } from "./layer-stock.ts";

export interface ImageFollowUpOptions {
  readonly stock: LayerStock;
  readonly scheduler: SpanScheduler;
  /** undefined: only what is read is fetched. */
  readonly filling: BackgroundFilling | undefined;
  readonly prefetches: boolean;
  /** Shows a stack that a container is likely to ask for in a moment. */
  readonly showAhead: (layers: readonly ServedLayer[]) => void;
  readonly log: Logger;
}

interface Followed {
  readonly session: ImageSession;
  readonly chain: readonly Digest[];
  readonly served: Map<Digest, ServedLayer>;
  timer: NodeJS.Timeout | undefined;
}

/** An image of which containerd unpacks some layers is followed up when nothing more of it was asked for so long. */
const QUIET_MS = 1000;
/** When all of it was: until then containerd asks a few things more, and whoever pulls waits for the answers. */
const SOON_MS = 100;

/**
 * What is done behind a pull: spans that the index names are fetched, then the rest of the image; and
 * its stack is shown, so that its first container finds it there. Nothing of it keeps a pull waiting.
 */
export class ImageFollowUp implements Disposable {
  readonly #options: ImageFollowUpOptions;
  readonly #followed = new Map<Digest, Followed>();
  #isDisposed = false;

  constructor(options: ImageFollowUpOptions) {
    this.#options = options;
  }

  /** A layer of an image can be served. `chain`: all of its layers, bottom first. */
  answered(session: ImageSession, chain: readonly Digest[], layer: ServedLayer): void {
    if (this.#isDisposed) return;
    const { manifestDigest } = session.name;
    let followed = this.#followed.get(manifestDigest);
    if (followed === undefined) {
      followed = { session, chain, served: new Map(), timer: undefined };
      this.#followed.set(manifestDigest, followed);
    }
    followed.served.set(layer.digest, layer);
    const isAll = new Set(chain).size === followed.served.size;
    clearTimeout(followed.timer);
    followed.timer = setTimeout(() => this.#follow(manifestDigest), isAll ? SOON_MS : QUIET_MS);
    followed.timer.unref();
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    for (const { timer } of this.#followed.values()) clearTimeout(timer);
    this.#followed.clear();
  }

  #follow(manifestDigest: Digest): void {
    const followed = this.#followed.get(manifestDigest);
    this.#followed.delete(manifestDigest);
    if (followed === undefined) return;
    const { chain, served } = followed;
    const stack: ServedLayer[] = [];
    for (const digest of chain) {
      const layer = served.get(digest);
      // Above a layer that containerd unpacks there is none that we serve.
      if (layer === undefined) break;
      stack.push(layer);
    }
    if (stack.length === chain.length) this.#options.showAhead(stack);
    this.#fetch(followed).catch((error: unknown) => {
      this.#options.log.error("rest of an image cannot be fetched", { error });
    });
  }

  async #fetch({ session, chain, served }: Followed): Promise<void> {
    const { filling, prefetches, log } = this.#options;
    const image = session.name.imageReference;
    const layers = chain.filter((digest) => served.has(digest));
    if (prefetches) {
      // The rest of the image comes without.
      await this.#prefetch(session, served).catch((error: unknown) => {
        log.warn("spans that the index names cannot be prefetched", { image, error });
      });
    }
    // Upper layers first: what an image is about lies in them.
    for (const digest of new Set(layers.toReversed())) {
      const stocked = await this.#stocked(served.get(digest));
      if (stocked !== undefined && !this.#isDisposed) filling?.start(stocked.lease.number);
    }
  }

  /** A layer that is held and open; of one that cannot be opened whoever needs it is told. */
  async #stocked(served: ServedLayer | undefined): Promise<StockedLayer | undefined> {
    const { stock } = this.#options;
    if (served === undefined || !stock.keys.has(served.cacheKey)) return undefined;
    const stocked = await stock.get(served.cacheKey).catch(() => undefined);
    // It may have been let go meanwhile.
    return stock.keys.has(served.cacheKey) ? stocked : undefined;
  }

  async #prefetch(session: ImageSession, served: ReadonlyMap<Digest, ServedLayer>): Promise<void> {
    const { scheduler, log } = this.#options;
    for (const { layer, ranges } of await session.preparation.prefetch()) {
      const stocked = await this.#stocked(served.get(layer));
      if (stocked === undefined || this.#isDisposed) continue;
      const { geometry } = stocked.layer;
      for (const { start, end } of ranges) {
        const from = geometry.uncompressedStart(start);
        const to = geometry.uncompressedEnd(end - 1);
        scheduler
          .want(stocked.lease.number, from, to, { priority: "prefetch" })
          .catch((error: unknown) => {
            log.debug("span cannot be prefetched", { layer, error });
          });
      }
    }
  }
}
