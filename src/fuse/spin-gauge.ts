/** Vain tries in a row until trying is left. */
const PATIENCE = 4;
/** Waits until it is tried once more. */
const REST = 16;

/**
 * Whether the next request comes so soon that it is better looked for than slept for. A client that
 * asks one thing after another is back within microseconds, and a thread that sleeps meanwhile is
 * woken on an idle CPU, which takes longer than the work itself (README, "Wake-ups").
 */
export class SpinGauge {
  #vain = 0;
  #resting = 0;

  /** Asked once before each wait. */
  isWorthIt(): boolean {
    if (this.#resting === 0) return true;
    this.#resting -= 1;
    return false;
  }

  /** What came of a try. */
  record(found: boolean): void {
    if (found) {
      this.#vain = 0;
      return;
    }
    this.#vain += 1;
    if (this.#vain < PATIENCE) return;
    this.#vain = PATIENCE - 1;
    this.#resting = REST;
  }
}
