import { crc32 } from "node:zlib";
import { SociError } from "../errors.ts";
import { adler32 } from "./adler32.ts";
import { GzipHeader } from "./gzip-header.ts";
import type { InflateEngine, InflateStop } from "./inflate-engine.ts";

/** Where to begin in the middle of a gzip file: what a zinfo's checkpoint holds. */
export interface DecoderCheckpoint {
  /** 0 to 7 high bits of `partialByte` come first. */
  readonly bits: number;
  readonly partialByte: number;
  /** 32 KiB of output before the checkpoint. */
  readonly window: Uint8Array;
}

type Stage = "header" | "body" | "trailer" | "between";

const NOTHING = new Uint8Array(0);
const GZIP_TRAILER_BYTES = 8;
const ZLIB_TRAILER_BYTES = 4;

/**
 * Decodes a file of one or more gzip (or zlib) members as zlib with windowBits 47 does, over any
 * InflateEngine: headers and trailers are checked, offsets go on over members. The caller gives a
 * chunk when run() says `input`, and may reuse that chunk's memory when it says so again.
 * Damaged, truncated data and trailing garbage throw `data-loss`, also from each further run().
 */
export class GzipDecoder {
  readonly #engine: InflateEngine;
  #stage: Stage = "header";
  #header = new GzipHeader();
  /** Bytes given back by the engine, then the caller's chunk: both unread. */
  #rest: Uint8Array = NOTHING;
  #chunk: Uint8Array = NOTHING;
  #ended = false;
  /** Compressed bytes before this stage, and output before this member. */
  #inBase = 0;
  #outBase = 0;
  #trailer = new Uint8Array(GZIP_TRAILER_BYTES);
  #trailerBytes = 0;
  #sum = 0;
  /** After a checkpoint the member's start is not known, so its trailer cannot be checked. */
  #partialMember = false;
  #members = 0;
  #bodyEnded = false;
  #output: Uint8Array = NOTHING;
  #failure: { readonly error: unknown } | undefined;

  /** Begins at the start of a file, or at a checkpoint. The engine is this decoder's until it is done. */
  constructor(engine: InflateEngine, checkpoint?: DecoderCheckpoint) {
    this.#engine = engine;
    if (checkpoint === undefined) return;
    engine.start(checkpoint);
    this.#stage = "body";
    this.#partialMember = true;
    this.#members = 1;
  }

  /** Compressed bytes used, a started byte counted whole. */
  get totalIn(): number {
    return this.#inBase + (this.#stage === "body" ? this.#engine.totalIn : 0);
  }

  get totalOut(): number {
    return this.#outBase + (this.#stage === "body" ? this.#engine.totalOut : 0);
  }

  /** At a boundary: how many high bits of the last used byte are unread. */
  get bits(): number {
    return this.#engine.bits;
  }

  /** What the last run() produced; a view that dies with the next run(). */
  get output(): Uint8Array {
    return this.#output;
  }

  /** Why Go's compress/gzip refuses the current member's header although zlib takes it, or undefined. */
  get goFault(): string | undefined {
    return this.#header.goFault;
  }

  push(chunk: Uint8Array): void {
    if (this.#chunk.length > 0) throw new Error("GzipDecoder.push() before all input was used");
    this.#chunk = chunk;
  }

  endInput(): void {
    this.#ended = true;
  }

  /** Copies the last 32 KiB of output; what is missing on the left is zero. */
  copyWindow(target: Uint8Array): void {
    this.#engine.copyWindow(target);
  }

  /**
   * Decodes until a stop. `boundary`: at the end of a member's header, or of a deflate block that is
   * not its member's last, with totalOut > stopAfter. `end`: after endInput(), all members are read.
   */
  run(stopAfter = Number.POSITIVE_INFINITY): InflateStop {
    this.#output = NOTHING;
    if (this.#failure !== undefined) throw this.#failure.error;
    try {
      for (;;) {
        const stop = this.#step(stopAfter);
        if (stop !== undefined) return stop;
      }
    } catch (error) {
      // What follows damage is no data: the engine's state is not sound any more.
      this.#failure = { error };
      this.#output = NOTHING;
      throw error;
    }
  }

  #step(stopAfter: number): InflateStop | undefined {
    switch (this.#stage) {
      case "header":
        return this.#readHeader(stopAfter);
      case "body":
        return this.#readBody(stopAfter);
      case "trailer":
        return this.#readTrailer();
      case "between":
        if (this.#rest.length + this.#chunk.length === 0) return this.#ended ? "end" : "input";
        this.#stage = "header";
        this.#header = new GzipHeader();
        return undefined;
    }
  }

  #readHeader(stopAfter: number): InflateStop | undefined {
    this.#take(this.#header.push(this.#next()));
    if (!this.#header.done) return this.#wantInput("header");
    this.#engine.start({ window: this.#members === 0 ? "none" : "next-member" });
    this.#members++;
    this.#stage = "body";
    this.#bodyEnded = false;
    this.#partialMember = false;
    this.#sum = this.#header.format === "gzip" ? 0 : 1;
    return this.#outBase > stopAfter ? "boundary" : undefined;
  }

  #readBody(stopAfter: number): InflateStop | undefined {
    if (this.#bodyEnded) return this.#endBody();
    const stop = this.#engine.run(stopAfter - this.#outBase);
    const output = this.#engine.output;
    this.#output = output;
    if (!this.#partialMember && output.length > 0) {
      this.#sum =
        this.#header.format === "gzip" ? crc32(output, this.#sum) : adler32(output, this.#sum);
    }
    if (stop === "end") {
      this.#bodyEnded = true;
      return output.length > 0 ? "output" : undefined;
    }
    if (stop !== "input") return stop;
    const bytes = this.#next();
    if (bytes.length > 0) this.#drop(this.#engine.feed(bytes));
    else if (this.#ended) this.#engine.endInput();
    // Output made so far must be taken before the engine runs again.
    if (output.length > 0) return "output";
    return bytes.length > 0 || this.#ended ? undefined : "input";
  }

  #endBody(): undefined {
    this.#rest = this.#engine.takeRest();
    this.#inBase += this.#engine.totalIn;
    this.#outBase += this.#engine.totalOut;
    this.#trailerBytes = 0;
    this.#stage = "trailer";
  }

  #readTrailer(): InflateStop | undefined {
    const gzip = this.#header.format === "gzip";
    const want = (gzip ? GZIP_TRAILER_BYTES : ZLIB_TRAILER_BYTES) - this.#trailerBytes;
    const bytes = this.#next().subarray(0, want);
    this.#trailer.set(bytes, this.#trailerBytes);
    this.#trailerBytes += bytes.length;
    this.#take(bytes.length);
    if (bytes.length < want) return this.#wantInput("trailer");
    if (!this.#partialMember) this.#checkTrailer(gzip);
    this.#stage = "between";
    return undefined;
  }

  /** RFC 1952, 2.3.1 (CRC-32, ISIZE, little-endian); RFC 1950, 2.2 (Adler-32, big-endian). */
  #checkTrailer(gzip: boolean): void {
    const view = new DataView(this.#trailer.buffer);
    const stored = view.getUint32(0, gzip);
    if (stored !== this.#sum) {
      throw new SociError(
        "data-loss",
        `Cannot read gzip member that ends at byte ${this.#inBase}: checksum of the data is ${hex(this.#sum)}, want ${hex(stored)}`,
      );
    }
    const size = this.#engine.totalOut % 2 ** 32;
    if (gzip && view.getUint32(4, true) !== size) {
      throw new SociError(
        "data-loss",
        `Cannot read gzip member that ends at byte ${this.#inBase}: size of the data is ${size}, want ${view.getUint32(4, true)}`,
      );
    }
  }

  #wantInput(what: string): InflateStop | undefined {
    if (this.#next().length > 0) return undefined;
    if (!this.#ended) return "input";
    throw new SociError(
      "data-loss",
      `Cannot read gzip file: it ends at byte ${this.#inBase} in the middle of a member's ${what}`,
    );
  }

  #next(): Uint8Array {
    return this.#rest.length > 0 ? this.#rest : this.#chunk;
  }

  /** Drops bytes from the front of the input. */
  #drop(count: number): void {
    if (this.#rest.length > 0) this.#rest = this.#rest.subarray(count);
    else this.#chunk = this.#chunk.subarray(count);
  }

  /** Drops bytes that no engine counts. */
  #take(count: number): void {
    this.#drop(count);
    this.#inBase += count;
  }
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
