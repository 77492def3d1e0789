import { abortable } from "./abortable.ts";
import type { WaitOptions } from "./wait-options.ts";

interface Flight<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

/**
 * Joins identical work: whoever asks for a key while its work runs gets the same outcome. A caller
 * that aborts leaves alone; the work itself is aborted when its last caller has left. Nothing is
 * remembered after the work has settled.
 */
export class SingleFlight<K, T> {
  readonly #flights = new Map<K, Flight<T>>();

  async run(
    key: K,
    work: (signal: AbortSignal) => Promise<T>,
    { signal }: WaitOptions = {},
  ): Promise<T> {
    signal?.throwIfAborted();
    const flight = this.#flights.get(key) ?? this.#start(key, work);
    flight.waiting += 1;
    try {
      return await abortable(flight.result, signal);
    } finally {
      flight.waiting -= 1;
      if (flight.waiting === 0) {
        this.#forget(key, flight);
        // Settled work ignores this; for abandoned work it is the cancellation.
        flight.controller.abort(signal?.reason);
      }
    }
  }

  #start(key: K, work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    const result = work(controller.signal);
    const flight: Flight<T> = { result, controller, waiting: 0 };
    this.#flights.set(key, flight);
    const forget = (): void => this.#forget(key, flight);
    result.then(forget, forget);
    return flight;
  }

  #forget(key: K, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) {
      this.#flights.delete(key);
    }
  }
}
