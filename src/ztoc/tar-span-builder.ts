import { SociError } from "../errors.ts";
import { SpanDigester } from "./span-digester.ts";
import type { BuiltSpans, OutputHandler, SpanBuilder } from "./span-builder.ts";
import { encodeTarZinfo } from "./tar-zinfo.ts";

/** Spans of a layer that is not compressed: equal pieces of it. */
export class TarSpanBuilder implements SpanBuilder {
  readonly #spanSize: number;
  readonly #onOutput: OutputHandler;
  readonly #onSpan: (() => void) | undefined;
  readonly #digester = new SpanDigester();
  #size = 0;
  #nextCut = 0;

  constructor({
    spanSize,
    onOutput,
    onSpan,
  }: {
    readonly spanSize: number;
    readonly onOutput: OutputHandler;
    /** A span begins with the next byte of output. */
    readonly onSpan?: (() => void) | undefined;
  }) {
    if (spanSize < 1) {
      throw new SociError(
        "invalid-argument",
        `Cannot divide an uncompressed layer: span size is ${spanSize}, want 1 or more`,
      );
    }
    this.#spanSize = spanSize;
    this.#onOutput = onOutput;
    this.#onSpan = onSpan;
  }

  push(chunk: Uint8Array): void {
    const start = this.#size;
    const end = start + chunk.length;
    let from = 0;
    // A span begins only where there is a byte of it.
    for (; this.#nextCut < end; this.#nextCut += this.#spanSize) {
      this.#digester.cut(this.#nextCut, this.#nextCut);
      if (this.#onSpan === undefined) continue;
      const to = this.#nextCut - start;
      if (to > from) this.#onOutput(chunk.subarray(from, to));
      from = to;
      this.#onSpan();
    }
    this.#size = end;
    this.#digester.push(chunk, end);
    this.#onOutput(from === 0 ? chunk : chunk.subarray(from));
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
