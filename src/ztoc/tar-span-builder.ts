import { SociError } from "../errors.ts";
import { SpanDigester } from "./span-digester.ts";
import type { BuiltSpans, OutputHandler, SpanBuilder } from "./span-builder.ts";
import { encodeTarZinfo } from "./tar-zinfo.ts";

/** Spans of a layer that is not compressed: equal pieces of it. */
export class TarSpanBuilder implements SpanBuilder {
  readonly #spanSize: number;
  readonly #onOutput: OutputHandler;
  readonly #digester = new SpanDigester();
  #size = 0;
  #nextCut = 0;

  constructor({
    spanSize,
    onOutput,
  }: {
    readonly spanSize: number;
    readonly onOutput: OutputHandler;
  }) {
    if (spanSize < 1) {
      throw new SociError(
        "invalid-argument",
        `Cannot divide an uncompressed layer: span size is ${spanSize}, want 1 or more`,
      );
    }
    this.#spanSize = spanSize;
    this.#onOutput = onOutput;
  }

  push(chunk: Uint8Array): void {
    const end = this.#size + chunk.length;
    // A span begins only where there is a byte of it.
    for (; this.#nextCut < end; this.#nextCut += this.#spanSize)
      this.#digester.cut(this.#nextCut, this.#nextCut);
    this.#size = end;
    this.#digester.push(chunk, end);
    this.#onOutput(chunk);
  }

  finish(): BuiltSpans {
    const spanDigests = this.#digester.finish();
    const checkpoints = encodeTarZinfo({ spanSize: this.#spanSize, size: this.#size });
    return {
      maxSpanId: spanDigests.length - 1,
      spanDigests,
      unusable: spanDigests.length === 0 ? "there are no spans, want 1 or more" : undefined,
      checkpoints: { size: checkpoints.length, chunks: () => [checkpoints] },
    };
  }
}
