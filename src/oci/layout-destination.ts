import type { WaitOptions } from "../async/wait-options.ts";
import type { Descriptor } from "./descriptor.ts";
import type { ImageDestination } from "./image-destination.ts";
import { REF_NAME } from "./layout-index.ts";
import { LayoutWriter } from "./layout-writer.ts";
import type { BlobOpener } from "./upload-source.ts";

export interface LayoutDestinationOptions {
  /** As the user named it. */
  readonly name: string;
  /** Made when it is not there. */
  readonly directory: string;
  /** The image's name in the layout; without it, the image has none there. */
  readonly tag?: string | undefined;
}

/** An entry of an OCI layout directory; other images in it stay. Blobs of a conversion that failed stay, too: the next one finds them. */
export class LayoutDestination implements ImageDestination {
  readonly name: string;
  readonly stage: LayoutWriter;
  readonly #tag: string | undefined;

  private constructor(name: string, stage: LayoutWriter, tag: string | undefined) {
    this.name = name;
    this.stage = stage;
    this.#tag = tag;
  }

  /** @throws failed-precondition when the directory cannot be written, data-loss or unsupported when it holds something else */
  static async open({
    name,
    directory,
    tag,
  }: LayoutDestinationOptions): Promise<LayoutDestination> {
    return new LayoutDestination(name, await LayoutWriter.open(directory), tag);
  }

  async hasBlob({ digest, size }: Descriptor): Promise<boolean> {
    return (await this.stage.blobSize(digest)) === size;
  }

  async putBlob(
    { mediaType, digest, size }: Descriptor,
    open: BlobOpener,
    { signal }: WaitOptions = {},
  ): Promise<void> {
    if (await this.hasBlob({ mediaType, digest, size })) return;
    await this.stage.putBlob({ mediaType, digest, size }, open(), { signal });
  }

  holdsManifest(): boolean {
    return false;
  }

  async putManifest(
    descriptor: Descriptor,
    bytes: Uint8Array,
    options: WaitOptions = {},
  ): Promise<void> {
    await this.putBlob(descriptor, () => [bytes], options);
  }

  async finish(root: Descriptor, bytes: Uint8Array, options: WaitOptions = {}): Promise<void> {
    await this.putManifest(root, bytes, options);
    const { mediaType, digest, size } = root;
    const annotations = this.#tag === undefined ? {} : { annotations: { [REF_NAME]: this.#tag } };
    await this.stage.addToIndex({ mediaType, digest, size, ...annotations }, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage[Symbol.asyncDispose]();
  }
}
