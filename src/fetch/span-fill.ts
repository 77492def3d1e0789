import type { LayerGeometry } from "../cache/layer-geometry.ts";
import { GzipDecoder } from "../deflate/gzip-decoder.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { SociError } from "../errors.ts";

export interface SpanFillOptions {
  readonly geometry: LayerGeometry;
  readonly span: number;
  /** The 32 KiB of output before the span; asked for once, and copied. */
  readonly window: (span: number) => Uint8Array;
  /** Asked for when it is first needed; nobody else's until the fill is done. */
  readonly engine: () => InflateEngine;
  /** Takes the output in order, in pieces of at most 128 KiB; a view that dies with the call. */
  readonly write: (bytes: Uint8Array) => void;
}

const LARGEST_OUTPUT = 128 * 1024;

/**
 * One span from compressed bytes to output, a slice at a time, also while the compressed bytes are
 * still coming. What is written is good for nothing until `isVerified`.
 */
export class SpanFill {
  readonly #options: SpanFillOptions;
  readonly #hasher = new Bun.CryptoHasher("sha256");
  /** Compressed bytes that have come and are not used yet. */
  readonly #pieces: Uint8Array[] = [];
  #size = 0;
  readonly #end: number;
  #position: number;
  #decoder: GzipDecoder | undefined;
  #isVerified = false;
  #isStarved = true;

  constructor(options: SpanFillOptions) {
    const { geometry, span } = options;
    this.#options = options;
    this.#position = geometry.uncompressedStart(span);
    this.#end = geometry.uncompressedEnd(span);
  }

  /** Compressed bytes given so far. */
  get size(): number {
    return this.#size;
  }

  /** Whether the compressed bytes, all of them, are known to be the span's. */
  get isVerified(): boolean {
    return this.#isVerified;
  }

  get isDone(): boolean {
    return this.#isVerified && this.#position === this.#end;
  }

  /** Whether step() would do something. */
  get canStep(): boolean {
    return this.#position < this.#end && !this.#isStarved;
  }

  /** The next compressed bytes, which must stay as they are until the fill is done. */
  push(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#hasher.update(piece);
    this.#size += piece.length;
    this.#pieces.push(piece);
    this.#isStarved = false;
  }

  /** Nothing more comes. @throws data-loss when what has come are not the span's compressed bytes */
  verify(): void {
    const { geometry, span } = this.#options;
    const wantSize = geometry.compressedEnd(span) - geometry.compressedStart(span);
    if (this.#size !== wantSize) {
      throw new SociError(
        "data-loss",
        `Cannot use span ${span}: ${this.#size} bytes, want ${wantSize}`,
      );
    }
    const got = this.#hasher.digest();
    if (!got.equals(geometry.digestBytes(span))) {
      throw new SociError(
        "data-loss",
        `Cannot use span ${span}: digest is sha256:${got.toString("hex")}, want ${geometry.digest(span)}`,
      );
    }
    this.#isVerified = true;
    this.#isStarved = false;
  }

  /** Writes about `bytes` more, or as far as the input goes. @throws data-loss, and what `write` throws */
  step(bytes: number): void {
    const target = Math.min(this.#end, this.#position + bytes);
    while (this.#position < target && !this.#isStarved) {
      const output = this.#options.geometry.encoding === "gzip" ? this.#inflate() : this.#copy();
      if (output.length === 0) continue;
      this.#options.write(output);
      this.#position += output.length;
    }
    if (this.#isStarved && this.#isVerified && this.#position < this.#end) throw this.#tooShort();
  }

  #inflate(): Uint8Array {
    this.#decoder ??= this.#start();
    const decoder = this.#decoder;
    const { geometry, span } = this.#options;
    const want = this.#end - geometry.uncompressedStart(span);
    // Spans end where a block ends: stop there, for the next block is not in these bytes.
    const stop = decoder.run(want - 1);
    const output = decoder.output.subarray(0, this.#end - this.#position);
    if (stop === "input") this.#feed(decoder);
    else if (stop === "end") this.#isStarved = true;
    return output;
  }

  #start(): GzipDecoder {
    const { geometry, span, window, engine } = this.#options;
    const bits = geometry.bits(span);
    const first = this.#pieces.shift() ?? new Uint8Array(0);
    const decoder = new GzipDecoder(engine(), {
      bits,
      partialByte: first[0] ?? 0,
      window: window(span),
    });
    decoder.push(bits > 0 ? first.subarray(1) : first);
    return decoder;
  }

  #feed(decoder: GzipDecoder): void {
    const piece = this.#pieces.shift();
    if (piece !== undefined) decoder.push(piece);
    else if (this.#isVerified) decoder.endInput();
    else this.#isStarved = true;
  }

  #copy(): Uint8Array {
    const [piece] = this.#pieces;
    if (piece === undefined) {
      this.#isStarved = true;
      return new Uint8Array(0);
    }
    const output = piece.subarray(0, Math.min(LARGEST_OUTPUT, this.#end - this.#position));
    if (output.length === piece.length) this.#pieces.shift();
    else this.#pieces[0] = piece.subarray(output.length);
    return output;
  }

  #tooShort(): SociError {
    const { geometry, span } = this.#options;
    const start = geometry.uncompressedStart(span);
    return new SociError(
      "data-loss",
      `Cannot use span ${span}: it has ${this.#position - start} uncompressed bytes, want ${this.#end - start}`,
    );
  }
}
