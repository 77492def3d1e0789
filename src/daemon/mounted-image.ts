import { abortable } from "../async/abortable.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { FillWaitOptions, ImageFill } from "./image-fill.ts";
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

  /**
   * Fetches all of the image. @throws failed-precondition when somebody unmounts it before, or there is
   * no room; and what the source throws
   */
  async filled({ signal, ...options }: FillWaitOptions = {}): Promise<void> {
    const over = new AbortController();
    const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
    const unmounted = this.mount.unmounted.then(() => {
      throw new SociError(
        "failed-precondition",
        "Cannot fetch all of the image: it was unmounted before all was here",
      );
    });
    try {
      await Promise.race([this.fill.wait({ ...options, signal: either }), unmounted]);
    } finally {
      over.abort();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}
