import type { LayerGeometry } from "../cache/layer-geometry.ts";
import { GzipDecoder } from "../deflate/gzip-decoder.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { SociError } from "../errors.ts";

export interface SpanFillOptions {
  readonly geometry: LayerGeometry;
  readonly span: number;
  /** The 32 KiB of output before the span; asked for once, and copied. */
  readonly window: (span: number) => Uint8Array;
  /** All compressed bytes of the span, in pieces. They must stay as they are until the fill is done. */
  readonly pieces: readonly Uint8Array[];
  /** Nobody else's until the fill is done. */
  readonly engine: InflateEngine;
  /** Takes the output in order, in pieces of at most 128 KiB; a view that dies with the call. */
  readonly write: (uncompressedOffset: number, bytes: Uint8Array) => void;
}

const LARGEST_OUTPUT = 128 * 1024;
const NOTHING = new Uint8Array(0);

/**
 * One span from compressed bytes to verified output, a slice at a time. The digest of the compressed
 * bytes is checked before the first byte comes out.
 */
export class SpanFill {
  readonly #geometry: LayerGeometry;
  readonly #span: number;
  readonly #pieces: readonly Uint8Array[];
  readonly #engine: InflateEngine;
  readonly #window: SpanFillOptions["window"];
  readonly #write: SpanFillOptions["write"];
  readonly #end: number;
  #position: number;
  #decoder: GzipDecoder | undefined;
  #nextPiece = 0;
  /** Of a plain tar: what is left of the piece before #nextPiece. */
  #rest: Uint8Array = NOTHING;

  /** @throws data-loss when the compressed bytes are not those of the span */
  constructor({ geometry, span, window, pieces, engine, write }: SpanFillOptions) {
    this.#geometry = geometry;
    this.#span = span;
    this.#pieces = pieces;
    this.#engine = engine;
    this.#window = window;
    this.#write = write;
    this.#position = geometry.uncompressedStart(span);
    this.#end = geometry.uncompressedEnd(span);
    checkPieces(geometry, span, pieces);
  }

  /** Uncompressed offset up to which all has been written. */
  get position(): number {
    return this.#position;
  }

  get isDone(): boolean {
    return this.#position === this.#end;
  }

  /** Writes about `bytes` more, or what is left. @throws data-loss, and what `write` throws */
  step(bytes: number): void {
    const target = Math.min(this.#end, this.#position + bytes);
    while (this.#position < target) {
      const output = this.#geometry.encoding === "gzip" ? this.#inflate() : this.#copy();
      if (output.length === 0) continue;
      this.#write(this.#position, output);
      this.#position += output.length;
    }
  }

  #inflate(): Uint8Array {
    this.#decoder ??= this.#start();
    const decoder = this.#decoder;
    const want = this.#end - this.#geometry.uncompressedStart(this.#span);
    // Spans end where a block ends: stop there, for the next block is not in these bytes.
    const stop = decoder.run(want - 1);
    const output = decoder.output.subarray(0, this.#end - this.#position);
    if (stop === "input") this.#feed(decoder);
    else if (stop === "end" && output.length < this.#end - this.#position) {
      throw this.#tooShort(this.#position + output.length);
    }
    return output;
  }

  #start(): GzipDecoder {
    const bits = this.#geometry.bits(this.#span);
    const window = this.#window(this.#span);
    const first = this.#pieces.find(({ length }) => length > 0) ?? NOTHING;
    const decoder = new GzipDecoder(this.#engine, { bits, partialByte: first[0] ?? 0, window });
    this.#nextPiece = this.#pieces.indexOf(first) + 1;
    decoder.push(bits > 0 ? first.subarray(1) : first);
    return decoder;
  }

  #feed(decoder: GzipDecoder): void {
    const piece = this.#pieces[this.#nextPiece];
    this.#nextPiece += 1;
    if (piece === undefined) decoder.endInput();
    else decoder.push(piece);
  }

  #copy(): Uint8Array {
    if (this.#rest.length === 0) {
      const piece = this.#pieces[this.#nextPiece];
      if (piece === undefined) throw this.#tooShort(this.#position);
      this.#nextPiece += 1;
      this.#rest = piece;
    }
    const output = this.#rest.subarray(0, Math.min(LARGEST_OUTPUT, this.#end - this.#position));
    this.#rest = this.#rest.subarray(output.length);
    return output;
  }

  #tooShort(end: number): SociError {
    const start = this.#geometry.uncompressedStart(this.#span);
    return new SociError(
      "data-loss",
      `Cannot use span ${this.#span}: it has ${end - start} uncompressed bytes, want ${this.#end - start}`,
    );
  }
}

function checkPieces(geometry: LayerGeometry, span: number, pieces: readonly Uint8Array[]): void {
  const hasher = new Bun.CryptoHasher("sha256");
  let size = 0;
  for (const piece of pieces) {
    hasher.update(piece);
    size += piece.length;
  }
  const wantSize = geometry.compressedEnd(span) - geometry.compressedStart(span);
  if (size !== wantSize) {
    throw new SociError("data-loss", `Cannot use span ${span}: ${size} bytes, want ${wantSize}`);
  }
  const got = hasher.digest();
  if (!got.equals(geometry.digestBytes(span))) {
    throw new SociError(
      "data-loss",
      `Cannot use span ${span}: digest is sha256:${got.toString("hex")}, want ${geometry.digest(span)}`,
    );
  }
}
