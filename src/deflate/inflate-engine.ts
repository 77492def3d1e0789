/** Deflate's window: a match reaches at most this far back. https://www.rfc-editor.org/rfc/rfc1951 */
export const WINDOW_BYTES = 32768;

/**
 * Why run() came back:
 * `input`    all input was used and more is needed;
 * `output`   the output buffer is full: take `output` and run again;
 * `boundary` at the end of a deflate block that is not the last, with totalOut > stopAfter;
 * `end`      the last block has ended; unused input stays with the engine (takeRest()).
 */
export type InflateStop = "input" | "output" | "boundary" | "end";

export interface InflateStart {
  /** Up to 32 KiB of output before the start, oldest byte first: what matches may reach. */
  readonly window?: Uint8Array;
  /** 0 to 7: how many high bits of `partialByte` are the stream's first bits. */
  readonly bits?: number;
  readonly partialByte?: number;
}

/**
 * Raw inflate that stops at deflate block boundaries and starts at any checkpoint. One stream at a
 * time; start() begins another. Synchronous: bytes in, bytes out. Bad data throws `data-loss`.
 */
export interface InflateEngine {
  readonly name: string;
  /** Bytes of the current stream's output so far. */
  readonly totalOut: number;
  /** Whole bytes of input used so far, a started byte counted: ceil(bit position / 8). `partialByte` is not counted. */
  readonly totalIn: number;
  /** At a boundary: how many high bits of the last used byte are still unread, 0 to 7. */
  readonly bits: number;

  start(options?: InflateStart): void;
  /** Hands input over; returns how many bytes fitted (0 when full). They are copied: the caller may reuse its buffer. */
  feed(input: Uint8Array): number;
  /** Decodes until a stop. */
  run(stopAfter: number): InflateStop;
  /** What the last run() produced; a view that dies with the next run() or start(). */
  readonly output: Uint8Array;
  /** Copies the last 32 KiB of output (after the start's window) to `target`; left part zero when there was less. */
  window(target: Uint8Array): void;
  /** After `end`: how many of the bytes fed last have not been used. */
  readonly unusedIn: number;
}
