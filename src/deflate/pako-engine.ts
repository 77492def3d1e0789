import {
  Z_BLOCK,
  Z_BUF_ERROR,
  Z_OK,
  Z_STREAM_END,
  ZStream,
  zlibInflate,
  zlibInflateInit2,
  zlibInflateSetDictionary,
} from "pako";
import { SociError } from "../errors.ts";
import type { InflateEngine, InflateStart, InflateStop } from "./inflate-engine.ts";
import { WINDOW_BYTES } from "./inflate-engine.ts";

const OUTPUT_BYTES = 131_072;
const RAW = -15;
/** Bits of zlib's data_type: after a block or header; in the last block. */
const AT_BOUNDARY = 128;
const IN_LAST_BLOCK = 64;

/** The reference engine: pako, a port of zlib. Slower than WasmEngine, but somebody else's. */
export class PakoEngine implements InflateEngine {
  readonly name = "pako";
  #stream = new ZStream();
  /** The window, then output; [WINDOW_BYTES, outFrom) is what the host has been given. */
  readonly #buffer = new Uint8Array(WINDOW_BYTES + OUTPUT_BYTES);
  #outFrom = WINDOW_BYTES;
  #output = this.#buffer.subarray(WINDOW_BYTES, WINDOW_BYTES);
  #lastInput = false;
  #bits = 0;
  #totalIn = 0;
  #totalOut = 0;

  get totalIn(): number {
    return this.#totalIn;
  }

  get totalOut(): number {
    return this.#totalOut;
  }

  get bits(): number {
    return this.#bits;
  }

  get output(): Uint8Array {
    return this.#output;
  }

  start({ window = "none", bits = 0, partialByte = 0 }: InflateStart = {}): void {
    const stream = new ZStream();
    zlibInflateInit2(stream, RAW);
    if (bits > 0) {
      // pako has no inflatePrime(): this is what it does.
      stream.state.hold = partialByte >> (8 - bits);
      stream.state.bits = bits;
    }
    if (window !== "next-member") {
      this.#outFrom = WINDOW_BYTES;
      this.#buffer.fill(0, 0, WINDOW_BYTES);
    }
    if (typeof window !== "string") {
      const kept = window.subarray(-WINDOW_BYTES);
      this.#buffer.set(kept, WINDOW_BYTES - kept.length);
      zlibInflateSetDictionary(stream, kept);
    }
    this.#stream = stream;
    this.#output = this.#buffer.subarray(this.#outFrom, this.#outFrom);
    this.#lastInput = false;
    this.#bits = 0;
    this.#totalIn = 0;
    this.#totalOut = 0;
  }

  feed(input: Uint8Array): number {
    if (this.#stream.avail_in > 0) return 0;
    this.#stream.input = input.slice();
    this.#stream.next_in = 0;
    this.#stream.avail_in = input.length;
    return input.length;
  }

  endInput(): void {
    this.#lastInput = true;
  }

  run(stopAfter = Number.POSITIVE_INFINITY): InflateStop {
    const stream = this.#stream;
    if (this.#outFrom === this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#outFrom - WINDOW_BYTES);
      this.#outFrom = WINDOW_BYTES;
    }
    const from = this.#outFrom;
    stream.output = this.#buffer;
    stream.next_out = from;
    stream.avail_out = this.#buffer.length - from;
    let stop: InflateStop | undefined;
    while (stop === undefined) {
      const availableIn = stream.avail_in;
      const availableOut = stream.avail_out;
      const status = zlibInflate(stream, Z_BLOCK);
      this.#totalIn += availableIn - stream.avail_in;
      this.#totalOut += availableOut - stream.avail_out;
      if (status === Z_STREAM_END) {
        stop = "end";
      } else if (status !== Z_OK && status !== Z_BUF_ERROR) {
        throw new SociError(
          "data-loss",
          `Cannot inflate: ${stream.msg || `zlib status ${status}`} near compressed byte ${this.#totalIn} (uncompressed byte ${this.#totalOut})`,
        );
      } else if (
        (stream.data_type & AT_BOUNDARY) !== 0 &&
        (stream.data_type & IN_LAST_BLOCK) === 0 &&
        this.#totalOut > stopAfter &&
        (availableIn !== stream.avail_in || availableOut !== stream.avail_out)
      ) {
        stop = "boundary";
      } else if (stream.avail_out === 0) {
        stop = "output";
      } else if (stream.avail_in === 0 && (stream.data_type & AT_BOUNDARY) === 0) {
        stop = "input";
      }
    }
    this.#bits = stream.data_type & 7;
    this.#outFrom = stream.next_out;
    this.#output = this.#buffer.subarray(from, this.#outFrom);
    if (stop === "input" && this.#lastInput) {
      throw new SociError(
        "data-loss",
        `Cannot inflate: the data ends at byte ${this.#totalIn} in the middle of a block`,
      );
    }
    return stop;
  }

  copyWindow(target: Uint8Array): void {
    target.set(this.#buffer.subarray(this.#outFrom - WINDOW_BYTES, this.#outFrom));
  }

  takeRest(): Uint8Array {
    const { input, next_in, avail_in } = this.#stream;
    this.#stream.avail_in = 0;
    return input.slice(next_in, next_in + avail_in);
  }
}
