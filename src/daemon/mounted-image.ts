import { abortable } from "../async/abortable.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { ImageFill } from "./image-fill.ts";
import type { ImageMount } from "./image-mount.ts";

export interface MountedImageOptions {
  readonly mount: ImageMount;
  readonly fill: ImageFill;
  /** All that the mount needs, itself included. */
  readonly resources: AsyncDisposableStack;
}

/** An image that is mounted and served by this process. Disposing unmounts it. */
export class MountedImage implements AsyncDisposable {
  readonly mount: ImageMount;
  /** Brings the rest of the image, once it is started. */
  readonly fill: ImageFill;
  readonly #resources: AsyncDisposableStack;

  constructor({ mount, fill, resources }: MountedImageOptions) {
    this.mount = mount;
    this.fill = fill;
    this.#resources = resources;
  }

  /** Resolves when somebody has unmounted it. Throws the signal's reason, or why it cannot be served. */
  async ended({ signal }: WaitOptions = {}): Promise<void> {
    await abortable(this.mount.unmounted, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}
