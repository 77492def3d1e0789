import { abortable } from "../async/abortable.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type {
  BlobRangeOptions,
  ImageSource,
  ManifestName,
  SignalOptions,
  SourceStats,
} from "../oci/image-source.ts";
import type { ManifestMemory } from "./manifest-memory.ts";

export interface PreparingSourceOptions {
  /** Disposing leaves it open. */
  readonly source: ImageSource;
  readonly manifests: Pick<ManifestMemory, "read">;
}

/**
 * An image's source as preparing sees it: manifests that are remembered are not asked for, and
 * referrers can be asked for before anybody wants them: beside the request for the manifest they refer
 * to, instead of after it. Whoever wants them then gets that answer. Disposing abandons what nobody has
 * wanted.
 */
export class PreparingSource implements ImageSource {
  readonly #source: ImageSource;
  readonly #manifests: Pick<ManifestMemory, "read">;
  readonly #stop = new AbortController();
  readonly #answers = new Map<string, Promise<readonly Descriptor[]>>();

  constructor({ source, manifests }: PreparingSourceOptions) {
    this.#source = source;
    this.#manifests = manifests;
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

  root(options?: SignalOptions): Promise<Descriptor> {
    return this.#source.root(options);
  }

  async manifest(name: ManifestName, options?: SignalOptions): Promise<Uint8Array> {
    const known = this.#manifests.read(name.digest);
    const fits = known?.length === (name.size ?? known?.length);
    return known !== undefined && fits ? known : await this.#source.manifest(name, options);
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
    await Promise.allSettled(this.#answers.values());
  }

  async #fetchFirst(answer: Promise<readonly Descriptor[]>): Promise<void> {
    const [first] = await answer;
    // Sources join requests for the same manifest and remember it.
    if (first !== undefined) await this.#source.manifest(first, { signal: this.#stop.signal });
  }
}

function keyOf(subject: Digest, artifactType: string): string {
  return `${subject} ${artifactType}`;
}
