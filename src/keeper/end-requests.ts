const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Signals that ask this process to end. They are heard here alone from now on: elsewhere the first one
 * is remembered for ever, and the second one ends the process.
 */
export class EndRequests {
  #isAsked = false;

  constructor() {
    for (const name of SIGNALS) {
      process.removeAllListeners(name);
      process.on(name, () => {
        this.#isAsked = true;
      });
    }
  }

  /** Whether one has come since the last call. What has interrupted a system call is among them. */
  async take(): Promise<boolean> {
    // Who hears of a signal runs only now.
    await new Promise((resolve) => setImmediate(resolve));
    const isAsked = this.#isAsked;
    this.#isAsked = false;
    return isAsked;
  }
}
