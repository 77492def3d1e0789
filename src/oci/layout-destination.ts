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
  /** Whether the image is to be the only entry of index.json. */
  readonly isAlone?: boolean | undefined;
}

/** An entry of an OCI layout directory; other images in it stay. Blobs of a conversion that failed stay, too: the next one finds them. */
export class LayoutDestination implements ImageDestination {
  readonly name: string;
  readonly isSourcePlace = false;
  readonly stage: LayoutWriter;
  readonly #tag: string | undefined;
  readonly #isAlone: boolean;

  private constructor(
    { name, tag, isAlone = false }: LayoutDestinationOptions,
    stage: LayoutWriter,
  ) {
    this.name = name;
    this.stage = stage;
    this.#tag = tag;
    this.#isAlone = isAlone;
  }

  /** @throws failed-precondition when the directory cannot be written, data-loss or unsupported when it holds something else */
  static async open(options: LayoutDestinationOptions): Promise<LayoutDestination> {
    return new LayoutDestination(options, await LayoutWriter.open(options.directory));
  }

  async takesOver({ digest, size }: Descriptor): Promise<boolean> {
    return (await this.stage.blobSize(digest)) === size;
  }

  async putBlob(
    { mediaType, digest, size }: Descriptor,
    open: BlobOpener,
    { signal }: WaitOptions = {},
  ): Promise<void> {
    if (await this.takesOver({ mediaType, digest, size })) return;
    await this.stage.putBlob({ mediaType, digest, size }, open(), { signal });
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
    const entry = { mediaType, digest, size, ...annotations };
    await (this.#isAlone
      ? this.stage.setIndex(entry, options)
      : this.stage.addToIndex(entry, options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage[Symbol.asyncDispose]();
  }
}
