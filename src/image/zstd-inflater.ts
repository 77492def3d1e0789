import { createZstdDecompress } from "node:zlib";
import { SociError } from "../errors.ts";

/**
 * Decompresses zstd frames that are pushed in. Output comes in order, within push() and finish(), in
 * views that die with the call.
 */
export class ZstdInflater implements Disposable {
  readonly #stream = createZstdDecompress();
  readonly #onOutput: (bytes: Uint8Array) => void;
  #failure: { readonly error: unknown } | undefined;
  #reject: ((error: unknown) => void) | undefined;

  constructor(onOutput: (bytes: Uint8Array) => void) {
    this.#onOutput = onOutput;
    this.#stream.on("data", (bytes: Uint8Array) => this.#take(bytes));
    this.#stream.on("error", (cause) => {
      this.#fail(new SociError("data-loss", "Cannot decompress a zstd layer", { cause }));
    });
  }

  /** Takes the next bytes; when it is done their memory may be reused. @throws data-loss, and what the taker of the output throws */
  async push(chunk: Uint8Array): Promise<void> {
    await this.#settle((done) => this.#stream.write(chunk, done));
  }

  /** All bytes have been pushed. @throws data-loss */
  async finish(): Promise<void> {
    await this.#settle((done) => {
      this.#stream.once("end", done);
      this.#stream.end();
    });
  }

  [Symbol.dispose](): void {
    this.#stream.destroy();
  }

  async #settle(start: (done: (error?: Error | null) => void) => void): Promise<void> {
    this.#throwFailure();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#reject = reject;
    // A failure is told by the event, which knows more than the call that met it.
    start(() => resolve());
    await promise;
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #take(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return;
    try {
      this.#onOutput(bytes);
    } catch (error) {
      this.#fail(error);
      this.#stream.destroy();
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#reject?.(this.#failure.error);
  }
}
