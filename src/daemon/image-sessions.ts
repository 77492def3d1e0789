import { abortable } from "../async/abortable.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { ImagePreparation } from "../image/image-preparation.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";

/** An image as labels of a snapshot name it. */
export interface ImageName {
  /** Of containerd: there its manifest may be. */
  readonly namespace: string;
  readonly imageReference: string;
  readonly manifestDigest: Digest;
  /** The SOCI index to use, whatever else there is. */
  readonly indexDigest: Digest | undefined;
}

/** An image that is being made ready, layer by layer. */
export interface ImageSession {
  readonly name: ImageName;
  readonly source: ImageSource;
  readonly preparation: ImagePreparation;
  /** Layers that are being read whole: they take as long as that takes. */
  readonly streamed: ReadonlySet<Digest>;
}

export interface ImageSessionsOptions {
  readonly openSource: (name: ImageName) => Promise<ImageSource>;
  /** `onStreamed` is told of layers that are about to be read whole. */
  readonly prepare: (
    name: ImageName,
    source: ImageSource,
    onStreamed: (layer: Digest) => void,
  ) => ImagePreparation;
  readonly log: Logger;
  /** How long an image that nobody asks about is kept. */
  readonly idleMs?: number;
}

interface Running {
  readonly session: Promise<ImageSession>;
  users: number;
  /** Nobody else joins: it failed, and the next one shall try again. */
  isStale: boolean;
  isEnded: boolean;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Images of which layers are being prepared. The first one who asks for an image starts the work for
 * all of its layers; the others join. What it has found out is forgotten when nobody has asked for a
 * while: nothing is cached for the life of the daemon, failures least of all.
 */
export class ImageSessions implements AsyncDisposable {
  readonly #options: ImageSessionsOptions;
  readonly #idleMs: number;
  readonly #running = new Map<string, Running>();
  readonly #ending = new Set<Promise<void>>();
  #isDisposed = false;

  constructor(options: ImageSessionsOptions) {
    this.#options = options;
    this.#idleMs = options.idleMs ?? 60_000;
  }

  /**
   * Joins, or starts, the preparation of an image, which goes on for as long as somebody uses it. A
   * caller who gives up takes nothing from the others, nor from itself when it comes again.
   * @throws the signal's reason; unavailable when this is disposed of
   */
  async use<T>(
    name: ImageName,
    work: (session: ImageSession) => Promise<T>,
    { signal }: WaitOptions = {},
  ): Promise<T> {
    signal?.throwIfAborted();
    if (this.#isDisposed) {
      throw new SociError("unavailable", "Cannot prepare image: the daemon is about to end");
    }
    const key = keyOf(name);
    const running = this.#running.get(key) ?? this.#start(key, name);
    running.users++;
    clearTimeout(running.timer);
    try {
      return await work(await abortable(running.session, signal));
    } catch (error) {
      if (signal?.aborted !== true) this.#forget(key, running);
      throw error;
    } finally {
      running.users--;
      if (running.users === 0) this.#rest(key, running);
    }
  }

  /** Starts on an image that will be asked for in a moment. */
  announce(name: ImageName): void {
    this.use(name, async () => undefined).catch((error: unknown) => {
      this.#options.log.debug("image cannot be prepared ahead", { ...name, error });
    });
  }

  /** Who asks next starts anew: what is known has failed. */
  expire(name: ImageName): void {
    const key = keyOf(name);
    const running = this.#running.get(key);
    if (running !== undefined) this.#forget(key, running);
  }

  /** Ends what nobody uses now. */
  endIdle(): void {
    for (const [key, running] of [...this.#running]) {
      if (running.users === 0) this.#end(key, running);
    }
  }

  /** Ends all of them, under whoever still uses them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    for (const [key, running] of [...this.#running]) this.#end(key, running);
    while (this.#ending.size > 0) await Promise.all(this.#ending);
  }

  #start(key: string, name: ImageName): Running {
    const running: Running = {
      session: this.#open(name),
      users: 0,
      isStale: false,
      isEnded: false,
      timer: undefined,
    };
    running.session.catch(() => {
      // Whoever waits for it gets the failure.
    });
    this.#running.set(key, running);
    return running;
  }

  async #open(name: ImageName): Promise<ImageSession> {
    const { openSource, prepare } = this.#options;
    await using opened = new AsyncDisposableStack();
    const source = opened.use(await openSource(name));
    const streamed = new Set<Digest>();
    const preparation = prepare(name, source, (layer) => streamed.add(layer));
    opened.move();
    return { name, source, preparation, streamed };
  }

  #rest(key: string, running: Running): void {
    if (running.isStale) this.#end(key, running);
    // Or it has been ended under its user.
    if (running.isStale || running.isEnded) return;
    running.timer = setTimeout(() => {
      if (running.users === 0) this.#end(key, running);
    }, this.#idleMs);
    running.timer.unref();
  }

  #forget(key: string, running: Running): void {
    running.isStale = true;
    if (this.#running.get(key) === running) this.#running.delete(key);
    if (running.users === 0) this.#end(key, running);
  }

  #end(key: string, running: Running): void {
    clearTimeout(running.timer);
    if (this.#running.get(key) === running) this.#running.delete(key);
    if (running.isEnded) return;
    running.isEnded = true;
    const ending = this.#close(running.session)
      .catch((error: unknown) => {
        this.#options.log.error("preparation of an image cannot be ended", { error });
      })
      .finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  async #close(opening: Promise<ImageSession>): Promise<void> {
    // One that could not be opened is none to close, which whoever waited for it has been told.
    const session = await opening.catch(() => undefined);
    if (session === undefined) return;
    await using ending = new AsyncDisposableStack();
    ending.use(session.source);
    ending.use(session.preparation);
  }
}

function keyOf({ namespace, imageReference, manifestDigest, indexDigest }: ImageName): string {
  return [namespace, imageReference, manifestDigest, indexDigest ?? ""].join("\n");
}
