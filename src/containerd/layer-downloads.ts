import { Semaphore } from "../async/semaphore.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { Labels } from "./api/snapshots.ts";
import type { ContainerdNamespace } from "./containerd-client.ts";
import { writeLeased } from "./write-leased.ts";

/** A layer that is being downloaded, as a display wants to know. */
export interface Download {
  add(bytes: number): void;
  end(): void;
}

export interface LayerDownloadsOptions {
  readonly source: ImageSource;
  readonly space: ContainerdNamespace;
  readonly labels: Labels;
  readonly onDownload?: ((layer: Descriptor) => Download) | undefined;
}

// As containerd, whose own pulls have three at a time.
const PARALLEL = 3;

/** Layers on their way into the content store: each once, in the order they were asked for, a few at a time. */
export class LayerDownloads {
  readonly #options: LayerDownloadsOptions;
  readonly #permits = new Semaphore(PARALLEL);
  readonly #running = new Map<Digest, Promise<void>>();

  constructor(options: LayerDownloadsOptions) {
    this.#options = options;
  }

  /** Begins with layers; what comes of it get() tells. */
  start(layers: readonly Descriptor[], { signal }: WaitOptions): void {
    for (const layer of layers) this.#start(layer, signal).catch(() => undefined);
  }

  /** Resolves when the layer is in the content store, verified. */
  async get(layer: Descriptor, { signal }: WaitOptions): Promise<void> {
    await this.#start(layer, signal);
  }

  /** Resolves when none runs any more, however they ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running.values());
  }

  #start(layer: Descriptor, signal: AbortSignal | undefined): Promise<void> {
    let running = this.#running.get(layer.digest);
    if (running === undefined) {
      running = this.#permits.run(() => this.#download(layer, signal), { signal });
      this.#running.set(layer.digest, running);
    }
    return running;
  }

  async #download(layer: Descriptor, signal: AbortSignal | undefined): Promise<void> {
    const { source, space, labels, onDownload } = this.#options;
    const shown = onDownload?.(layer);
    try {
      await writeLeased(space, layer, {
        open: () => source.blob(layer, { signal }),
        ref: `layer-${layer.digest}`,
        labels,
        onBytes: (bytes) => shown?.add(bytes),
        signal,
      });
    } finally {
      shown?.end();
    }
  }
}
