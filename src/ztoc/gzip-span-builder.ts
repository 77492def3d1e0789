import type { ByteLog } from "../bytes/byte-log.ts";
import { GzipDecoder } from "../deflate/gzip-decoder.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { SociError } from "../errors.ts";
import { SpanDigester } from "./span-digester.ts";
import type { BuiltSpans, OutputHandler, SpanBuilder } from "./span-builder.ts";
import { MAX_FLATBUFFER_BYTES } from "./flatbuffer-writer.ts";
import { CHECKPOINT_BYTES, encodeCheckpoint, encodeGzipZinfoHeader } from "./gzip-zinfo.ts";

export interface GzipSpanBuilderOptions {
  readonly engine: InflateEngine;
  readonly spanSize: number;
  /** Where checkpoints go until the zTOC is written. */
  readonly checkpoints: ByteLog;
  readonly onOutput: OutputHandler;
  /** A span begins with the next byte of output. */
  readonly onSpan?: (() => void) | undefined;
  /** Whether a member header that only zlib takes is still an error: Go reads up to the tar's end. */
  readonly goReads: () => boolean;
}

/** No reader uses a zTOC with more than one; the reference writes them, and so do we up to here. */
const MAX_EMPTY_SPANS = 1024;

/** Spans of a gzip layer: checkpoints where zran's rule puts them, in one pass with inflate. */
export class GzipSpanBuilder implements SpanBuilder {
  readonly #decoder: GzipDecoder;
  readonly #spanSize: number;
  readonly #checkpoints: ByteLog;
  readonly #onOutput: OutputHandler;
  readonly #onSpan: (() => void) | undefined;
  readonly #goReads: () => boolean;
  readonly #digester = new SpanDigester();
  readonly #record = new Uint8Array(CHECKPOINT_BYTES);
  #count = 0;
  #lastOut = 0;
  #unusable: string | undefined;

  constructor(options: GzipSpanBuilderOptions) {
    const { engine, spanSize, checkpoints, onOutput, onSpan, goReads } = options;
    this.#decoder = new GzipDecoder(engine);
    this.#spanSize = spanSize;
    this.#checkpoints = checkpoints;
    this.#onOutput = onOutput;
    this.#onSpan = onSpan;
    this.#goReads = goReads;
  }

  push(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
    this.#decode("input");
    // A boundary still to come may give back up to one byte of what has been used.
    this.#digester.push(chunk, this.#decoder.totalIn - 1);
  }

  finish(): BuiltSpans {
    this.#decoder.endInput();
    this.#decode("end");
    const header = encodeGzipZinfoHeader(this.#count, this.#spanSize);
    const log = this.#checkpoints;
    return {
      maxSpanId: this.#count - 1,
      spanDigests: this.#digester.finish(),
      unusable: this.#unusable,
      checkpoints: {
        size: header.length + log.size,
        *chunks() {
          yield header;
          yield* log.chunks();
        },
      },
    };
  }

  #decode(until: "input" | "end"): void {
    const decoder = this.#decoder;
    for (;;) {
      // zran: a checkpoint at every boundary without output before it, else after more than a span.
      const stop = decoder.run(decoder.totalOut === 0 ? -1 : this.#lastOut + this.#spanSize);
      this.#refuseWhatGoRefuses();
      if (decoder.output.length > 0) this.#onOutput(decoder.output);
      if (stop === until) return;
      if (stop === "boundary") this.#considerCheckpoint();
    }
  }

  #considerCheckpoint(): void {
    const { totalIn, totalOut, bits } = this.#decoder;
    if (totalOut !== 0 && totalOut - this.#lastOut <= this.#spanSize) return;
    this.#refuseTooMany(totalOut);
    if (this.#count > 0 && totalOut === this.#lastOut) {
      this.#unusable ??= `span offsets are non-monotonic: spans ${this.#count - 1} and ${this.#count} both start at byte ${totalOut} of the tar`;
    }
    this.#decoder.copyWindow(encodeCheckpoint(this.#record, { in: totalIn, out: totalOut, bits }));
    this.#checkpoints.append(this.#record);
    this.#digester.cut(totalIn, totalIn - (bits > 0 ? 1 : 0));
    this.#lastOut = totalOut;
    this.#count++;
    this.#onSpan?.();
  }

  /** Before memory is taken: a checkpoint has 32 KiB, an empty block that makes one ten bits. */
  #refuseTooMany(totalOut: number): void {
    if (totalOut === 0 && this.#count >= MAX_EMPTY_SPANS) {
      throw new SociError(
        "unsupported",
        `Cannot divide gzip layer into spans: more than ${MAX_EMPTY_SPANS} begin before its first byte of data`,
      );
    }
    if (this.#checkpoints.size + CHECKPOINT_BYTES > MAX_FLATBUFFER_BYTES) {
      throw new SociError(
        "unsupported",
        `Cannot divide gzip layer into spans: more than ${this.#count} checkpoints, which no zTOC holds`,
        { hint: "Use a larger span size" },
      );
    }
  }

  #refuseWhatGoRefuses(): void {
    const fault = this.#decoder.goFault;
    if (fault === undefined || !this.#goReads()) return;
    throw new SociError(
      "data-loss",
      `Cannot read gzip header before byte ${this.#decoder.totalIn}: ${fault}, want a gzip member that Go's compress/gzip takes`,
    );
  }
}
