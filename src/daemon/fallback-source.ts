import { SociError, isKind } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type {
  BlobRangeOptions,
  ImageSource,
  ManifestName,
  SignalOptions,
  SourceStats,
} from "../oci/image-source.ts";
import { parseReference } from "../oci/reference.ts";
import type { ImageName } from "./registry-access.ts";

export interface FallbackSourceOptions {
  /** The images that can be asked by now, the best first. When there are none, those of before stay. */
  readonly images: () => readonly ImageName[];
  readonly open: (image: ImageName) => Promise<ImageSource>;
  readonly log: Logger;
}

interface Place {
  readonly image: ImageName;
  readonly repository: string;
  source: Promise<ImageSource> | undefined;
  users: number;
  isGone: boolean;
}

/** How to get bytes out of one source, and whether another may go on where it stopped. */
interface Asking extends SignalOptions {
  readonly from: (source: ImageSource, retry: boolean) => AsyncIterable<Uint8Array>;
  readonly goesOn: () => boolean;
  readonly retry: boolean;
}

/** Images asked for one request, at most: those that failed are the last at the next. */
const MAX_ASKED = 8;
/** Who is given up after so long without a byte is not asked first again. */
const SLOW_MS = 2000;

/**
 * A layer's bytes out of any of the images that have it: where one refuses (its login is gone with it)
 * or does not answer, the next is asked, and asked first from then on.
 */
export class FallbackSource implements ImageSource {
  readonly #options: FallbackSourceOptions;
  /** Asked in this order. */
  readonly #places = new Map<string, Place>();
  readonly #closing = new Set<Promise<void>>();
  #stats: () => SourceStats = () => ({ requests: 0, bytes: 0 });
  #isDisposed = false;

  constructor(options: FallbackSourceOptions) {
    this.#options = options;
    this.#refresh();
  }

  get name(): string {
    const [first] = this.#places.values();
    return first?.image.imageReference ?? "";
  }

  /** Of the image that was asked last. */
  get stats(): SourceStats {
    return this.#stats();
  }

  root(options: SignalOptions = {}): Promise<Descriptor> {
    return this.#one((source) => source.root(options), options);
  }

  manifest(name: ManifestName, options: SignalOptions = {}): Promise<Uint8Array> {
    return this.#one((source) => source.manifest(name, options), options);
  }

  referrers(
    subject: Digest,
    artifactType: string,
    options: SignalOptions = {},
  ): Promise<readonly Descriptor[]> {
    return this.#one((source) => source.referrers(subject, artifactType, options), options);
  }

  /** Once bytes have come it is that image's blob to its end. */
  async *blob(blob: Descriptor, options: SignalOptions = {}): AsyncGenerator<Uint8Array> {
    let hasBegun = false;
    const chunks = this.#stream({
      from: (source) => source.blob(blob, options),
      goesOn: () => !hasBegun,
      retry: true,
      signal: options.signal,
    });
    for await (const chunk of chunks) {
      hasBegun = true;
      yield chunk;
    }
  }

  async *blobRange(blob: Descriptor, options: BlobRangeOptions): AsyncGenerator<Uint8Array> {
    const { start, end, isFresh, retry = true, signal } = options;
    // What came before was wrong: it may be that image's registry that is.
    if (isFresh === true) this.#later(this.#refresh()[0]);
    let at = start;
    const chunks = this.#stream({
      from: (source, retries) =>
        source.blobRange(blob, { ...options, start: at, end, retry: retries }),
      goesOn: () => at < end,
      retry,
      signal,
    });
    for await (const chunk of chunks) {
      at += chunk.length;
      yield chunk;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    for (const [key, place] of this.#places) this.#remove(key, place);
    while (this.#closing.size > 0) await Promise.all(this.#closing);
  }

  async #one<T>(ask: (source: ImageSource) => Promise<T>, { signal }: SignalOptions): Promise<T> {
    const turn = this.#turn(signal);
    for (const place of turn.places()) {
      using use = this.#use(place);
      try {
        return await ask(await use.source());
      } catch (error) {
        turn.failed(place, error);
      }
    }
    throw turn.failure();
  }

  async *#stream({ from, goesOn, retry, signal }: Asking): AsyncGenerator<Uint8Array> {
    const isOnly = this.#refresh().length < 2;
    // Who has others to ask does not wait for one that fails, until all of them have.
    const rounds = isOnly || !retry ? [retry] : [false, true];
    const turn = this.#turn(signal);
    for (const retries of rounds) {
      for (const place of turn.places()) {
        using use = this.#use(place);
        const asked = performance.now();
        let hasCome = false;
        try {
          for await (const chunk of from(await use.source(), retries)) {
            hasCome = true;
            yield chunk;
          }
          return;
        } catch (error) {
          const isSlow = !hasCome && performance.now() - asked > SLOW_MS;
          if (signal?.aborted === true && isSlow) this.#later(place);
          turn.failed(place, error);
          if (!goesOn()) throw error;
        }
      }
    }
    throw turn.failure();
  }

  /** Asks one image after another, for one request. */
  #turn(signal: AbortSignal | undefined) {
    const failures: SociError[] = [];
    let away = new Set<string>();
    const asked = function* (all: readonly Place[]): Generator<Place> {
      away = new Set();
      for (const place of all.slice(0, MAX_ASKED)) if (!away.has(place.repository)) yield place;
    };
    return {
      places: () => asked(this.#refresh()),
      /** @throws the signal's reason, and what is no failure of a source */
      failed: (place: Place, error: unknown): void => {
        signal?.throwIfAborted();
        if (!(error instanceof SociError)) throw error;
        failures.push(error);
        this.#later(place);
        const { imageReference: image } = place.image;
        this.#options.log.debug("an image cannot give a layer's bytes", { image, error });
        // Another image there has another login at best.
        if (!isKind(error, "unauthenticated", "permission-denied")) away.add(place.repository);
      },
      /** What may pass is what the caller is told, who then tries again. */
      failure: (): unknown =>
        failures.find(({ kind }) => kind === "unavailable") ??
        failures[0] ??
        new DOMException("the layer is closed", "AbortError"),
    };
  }

  #refresh(): readonly Place[] {
    const images = this.#isDisposed ? [] : this.#options.images();
    if (images.length > 0) {
      const named = new Map(images.map((image) => [keyOf(image), image]));
      for (const [key, place] of this.#places) if (!named.has(key)) this.#remove(key, place);
      for (const [key, image] of named) {
        if (this.#places.has(key)) continue;
        const repository = repositoryOf(image);
        this.#places.set(key, { image, repository, source: undefined, users: 0, isGone: false });
      }
    }
    return [...this.#places.values()];
  }

  #use(place: Place) {
    place.users += 1;
    return {
      source: async (): Promise<ImageSource> => {
        place.source ??= this.#options.open(place.image);
        const { source } = place;
        try {
          const opened = await source;
          this.#stats = () => opened.stats;
          return opened;
        } catch (error) {
          if (place.source === source) place.source = undefined;
          throw error;
        }
      },
      [Symbol.dispose]: (): void => {
        place.users -= 1;
        if (place.isGone && place.users === 0) this.#close(place);
      },
    };
  }

  #later(place: Place | undefined): void {
    if (place === undefined) return;
    const key = keyOf(place.image);
    if (this.#places.get(key) !== place) return;
    this.#places.delete(key);
    this.#places.set(key, place);
  }

  #remove(key: string, place: Place): void {
    this.#places.delete(key);
    place.isGone = true;
    if (place.users === 0 || this.#isDisposed) this.#close(place);
  }

  #close(place: Place): void {
    const { source } = place;
    place.source = undefined;
    if (source === undefined) return;
    const closing = source
      .then(
        (opened) => opened[Symbol.asyncDispose](),
        // Whoever wanted it has been told.
        () => undefined,
      )
      .catch((error: unknown) => {
        this.#options.log.error("source of a layer cannot be closed", { error });
      })
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

function keyOf({ imageReference, manifestDigest }: ImageName): string {
  return `${imageReference} ${manifestDigest ?? ""}`;
}

function repositoryOf({ imageReference }: ImageName): string {
  try {
    const { registry, repository } = parseReference(imageReference);
    return `${registry}/${repository}`;
  } catch (error) {
    if (!isKind(error, "invalid-argument")) throw error;
    // It cannot be opened either, which is told to whoever needs it.
    return imageReference;
  }
}
