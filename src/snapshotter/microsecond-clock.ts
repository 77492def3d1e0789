export interface ClockSources {
  /** Milliseconds since 1970, whole. */
  readonly wall: () => number;
  /** Milliseconds since some time, with fractions, never set. */
  readonly steady: () => number;
}

const CLOCKS: ClockSources = {
  wall: () => Date.now(),
  // Also what the two differ by, to the fraction of a millisecond.
  steady: () => performance.timeOrigin + performance.now(),
};

/**
 * Microseconds since 1970, each time later than the time before. The clock on the wall says the
 * millisecond, and the steady one what of it has gone: containerd compares our times with its own.
 */
export class MicrosecondClock {
  readonly #sources: ClockSources;
  #offset = 0;
  #last = 0;

  constructor(sources: ClockSources = CLOCKS) {
    this.#sources = sources;
  }

  now(): number {
    const start = this.#sources.wall() * 1000;
    const end = start + 999;
    let time = Math.floor(this.#sources.steady() * 1000) + this.#offset;
    // Somebody has set the wall's clock, or it is being drawn nearer to the right time.
    const wrong = time < start ? start - time : time > end ? end - time : 0;
    this.#offset += wrong;
    time += wrong;
    this.#last = Math.max(time, this.#last + 1);
    return this.#last;
  }
}
