import { abortable } from "../async/abortable.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import type {
  BlobRangeOptions,
  ImageSource,
  ManifestName,
  SignalOptions,
  SourceStats,
} from "../oci/image-source.ts";
import { parseManifest } from "../oci/manifest.ts";
import type { ManifestMemory } from "./manifest-memory.ts";

/** Bytes of a manifest or image index from somewhere near; undefined when they are not there. */
export type LocalManifests = (
  digest: Digest,
  options: SignalOptions,
) => Promise<Uint8Array | undefined>;

export interface PreparingSourceOptions {
  /** Disposing leaves it open. */
  readonly source: ImageSource;
  readonly manifests: Pick<ManifestMemory, "read">;
  /** Asked for manifests that are not remembered, before the source is. Its bytes are not believed. */
  readonly near?: LocalManifests | undefined;
  /** What root() is, where it is known: then nobody is asked which it is. */
  readonly rootDigest?: Digest | undefined;
  readonly log?: Logger | undefined;
}

/**
 * An image's source as preparing sees it: manifests that are remembered are not asked for, and
 * referrers can be asked for before anybody wants them: beside the request for the manifest they refer
 * to, instead of after it. Whoever wants them then gets that answer. Disposing abandons what nobody has
 * wanted.
 */
export class PreparingSource implements ImageSource {
  readonly #source: ImageSource;
  readonly #options: PreparingSourceOptions;
  readonly #stop = new AbortController();
  readonly #answers = new Map<string, Promise<readonly Descriptor[]>>();
  readonly #near = new Map<Digest, Promise<Uint8Array | undefined>>();

  constructor(options: PreparingSourceOptions) {
    this.#source = options.source;
    this.#options = options;
  }

  get name(): string {
    return this.#source.name;
  }

  get stats(): SourceStats {
    return this.#source.stats;
  }

  /** Asks now for the referrers of `subject`, and for the first of them. */
  ask(subject: Digest, artifactType: string): void {
    const { signal } = this.#stop;
    const key = keyOf(subject, artifactType);
    if (signal.aborted || this.#answers.has(key)) return;
    const answer = this.#source.referrers(subject, artifactType, { signal });
    this.#answers.set(key, answer);
    this.#fetchFirst(answer).catch(() => {
      // Whoever wants the answer, or the manifest, gets the failure or asks again.
    });
  }

  async root(options?: SignalOptions): Promise<Descriptor> {
    const { rootDigest: digest } = this.#options;
    if (digest === undefined) return await this.#source.root(options);
    const bytes = await this.manifest({ digest }, options);
    const { mediaType } = parseManifest(bytes, { what: `manifest ${digest} of "${this.name}"` });
    return { mediaType, digest, size: bytes.length };
  }

  async manifest(name: ManifestName, options?: SignalOptions): Promise<Uint8Array> {
    const known = await this.localManifest(name.digest, options);
    const fits = known?.length === (name.size ?? known?.length);
    return known !== undefined && fits ? known : await this.#source.manifest(name, options);
  }

  /** A manifest that is to be had without the source, verified; undefined: there is none. */
  async localManifest(
    digest: Digest,
    options: SignalOptions = {},
  ): Promise<Uint8Array | undefined> {
    const remembered = this.#options.manifests.read(digest);
    if (remembered !== undefined || this.#options.near === undefined) return remembered;
    const looking = this.#near.get(digest) ?? this.#lookNear(digest, this.#options.near);
    this.#near.set(digest, looking);
    return await abortable(looking, options.signal);
  }

  blob(descriptor: Descriptor, options?: SignalOptions): AsyncIterable<Uint8Array> {
    return this.#source.blob(descriptor, options);
  }

  blobRange(descriptor: Descriptor, options: BlobRangeOptions): AsyncIterable<Uint8Array> {
    return this.#source.blobRange(descriptor, options);
  }

  async referrers(
    subject: Digest,
    artifactType: string,
    options: SignalOptions = {},
  ): Promise<readonly Descriptor[]> {
    const asked = this.#answers.get(keyOf(subject, artifactType));
    return await (asked === undefined
      ? this.#source.referrers(subject, artifactType, options)
      : abortable(asked, options.signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled([...this.#answers.values(), ...this.#near.values()]);
  }

  async #lookNear(digest: Digest, near: LocalManifests): Promise<Uint8Array | undefined> {
    const { log } = this.#options;
    try {
      const bytes = await near(digest, { signal: this.#stop.signal });
      if (bytes === undefined || digestOf(bytes) === digest) return bytes;
      log?.warn("local manifest is not what its digest says", { digest });
    } catch (error) {
      // The source has it, too.
      if (!this.#stop.signal.aborted) log?.warn("local manifest cannot be read", { digest, error });
    }
    return undefined;
  }

  async #fetchFirst(answer: Promise<readonly Descriptor[]>): Promise<void> {
    const [first] = await answer;
    // Sources join requests for the same manifest and remember it.
    if (first !== undefined) await this.manifest(first, { signal: this.#stop.signal });
  }
}

function keyOf(subject: Digest, artifactType: string): string {
  return `${subject} ${artifactType}`;
}
