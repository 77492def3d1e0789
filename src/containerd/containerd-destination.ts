import type { WaitOptions } from "../async/wait-options.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageDestination } from "../oci/image-destination.ts";
import { parseManifest } from "../oci/manifest.ts";
import type { BlobOpener } from "../oci/upload-source.ts";
import { artifactLabels, contentLabels } from "./gc-labels.ts";
import type { Labels } from "./api/snapshots.ts";
import type { ContainerdNamespace } from "./containerd-client.ts";
import { keepContent } from "./work-lease.ts";
import { writeLeased } from "./write-leased.ts";

export interface ContainerdDestinationOptions {
  /** As the user named it, for messages. */
  readonly name: string;
  /** With a lease: what is written must not be collected before finish(). */
  readonly space: ContainerdNamespace;
  /** The image's name in containerd; it may stand for another image until finish(). */
  readonly image: string;
  /** Whether the source image is in the same namespace. */
  readonly isSourcePlace: boolean;
  /** Media type of the config of manifests that name no image but artifacts of one. */
  readonly artifactConfigs?: readonly string[];
  /** Labels of blobs that are written, as where else they can be had. */
  readonly labels?: Labels;
}

/** An image in containerd. Manifests name what they keep by labels, so that all lives and dies with the image. */
export class ContainerdDestination implements ImageDestination {
  readonly name: string;
  readonly stage = undefined;
  readonly isSourcePlace: boolean;
  readonly #space: ContainerdNamespace;
  readonly #image: string;
  readonly #artifactConfigs: readonly string[];
  readonly #labels: Labels;

  constructor(options: ContainerdDestinationOptions) {
    const { name, space, image, isSourcePlace, artifactConfigs = [], labels = {} } = options;
    this.name = name;
    this.isSourcePlace = isSourcePlace;
    this.#space = space;
    this.#image = image;
    this.#artifactConfigs = artifactConfigs;
    this.#labels = labels;
  }

  async takesOver(blob: Descriptor, options: WaitOptions = {}): Promise<boolean> {
    return await keepContent(this.#space, blob, options);
  }

  async putBlob(blob: Descriptor, open: BlobOpener, { signal }: WaitOptions = {}): Promise<void> {
    if (await keepContent(this.#space, blob, { signal })) return;
    await this.#write(blob, open, { kind: "layer", labels: this.#labels, signal });
  }

  async putManifest(
    descriptor: Descriptor,
    bytes: Uint8Array,
    { signal }: WaitOptions = {},
  ): Promise<void> {
    const { mediaType, digest } = descriptor;
    const document = parseManifest(bytes, { mediaType, what: `manifest ${digest}` });
    const isArtifact =
      document.kind === "manifest" && this.#artifactConfigs.includes(document.config.mediaType);
    const labels = isArtifact ? artifactLabels(document) : contentLabels(document);
    await this.#write(descriptor, () => [bytes], { kind: document.kind, labels, signal });
  }

  async finish(root: Descriptor, bytes: Uint8Array, { signal }: WaitOptions = {}): Promise<void> {
    await this.putManifest(root, bytes, { signal });
    const { mediaType, digest, size } = root;
    const target = { mediaType, digest, size, annotations: {} };
    await this.#space.images.put(this.#image, { target, signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #write(
    { digest, size }: Descriptor,
    open: BlobOpener,
    { kind, labels, signal }: WaitOptions & { readonly kind: string; readonly labels: Labels },
  ): Promise<void> {
    await writeLeased(
      this.#space,
      { digest, size },
      {
        open: async function* () {
          yield* open();
        },
        // As containerd's own refs, so that nobody writes the same beside us.
        ref: `${kind}-${digest}`,
        labels,
        signal,
      },
    );
  }
}
