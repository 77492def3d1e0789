/** Deflate's window: a match reaches at most this far back. https://www.rfc-editor.org/rfc/rfc1951 */
export const WINDOW_BYTES = 32768;

/**
 * Why run() came back:
 * `input`    more input is needed: feed() or endInput();
 * `output`   the output buffer is full: take `output` and run again;
 * `boundary` at the end of a deflate block that is not the last, with totalOut > stopAfter;
 * `end`      the last block has ended; unused input is had by takeRest().
 */
export type InflateStop = "input" | "output" | "boundary" | "end";

export interface InflateStart {
  /**
   * What matches may reach before the first byte: up to 32 KiB of earlier output, oldest byte first;
   * `"none"` (default) forbids such matches and forgets earlier output; `"next-member"` forbids them
   * too, but window() goes on over the members' border, as a zinfo's windows do.
   */
  readonly window?: Uint8Array | "none" | "next-member";
  /** 0 to 7: how many high bits of `partialByte` are the stream's first bits. */
  readonly bits?: number;
  readonly partialByte?: number;
}

/**
 * Raw inflate (RFC 1951) that stops at deflate block boundaries and starts at any checkpoint. One
 * stream at a time; start() begins another. Synchronous. Data that zlib would refuse, and input that
 * ends early, throw `data-loss`; the engine is then good for nothing but start().
 */
export interface InflateEngine {
  readonly name: string;
  /** Bytes of output since start(). */
  readonly totalOut: number;
  /** Bytes of input used since start(), a started byte counted whole. `partialByte` is not counted. */
  readonly totalIn: number;
  /** At a boundary or end: how many high bits of the last used byte are unread, 0 to 7. */
  readonly bits: number;
  /** What the last run() produced; a view that dies with the next run() or start(). */
  readonly output: Uint8Array;

  start(options?: InflateStart): void;
  /** Hands over the next input; returns how many bytes fitted (0 when full). They are copied. */
  feed(input: Uint8Array): number;
  /** Nothing follows what was fed. */
  endInput(): void;
  /** Decodes until a stop. Boundaries with totalOut <= stopAfter are passed over. */
  run(stopAfter?: number): InflateStop;
  /** Copies the last 32 KiB of output to `target`; what is missing on the left is zero. */
  copyWindow(target: Uint8Array): void;
  /** After `end`: a copy of the bytes that were fed and not used. They are then gone from the engine. */
  takeRest(): Uint8Array;
}
