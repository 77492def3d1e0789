import { abortable } from "./abortable.ts";
import type { WaitOptions } from "./wait-options.ts";

/** Waits `ms` milliseconds; throws `signal.reason` as soon as the signal aborts. */
export async function delay(ms: number, { signal }: WaitOptions = {}): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  try {
    await abortable(promise, signal);
  } finally {
    clearTimeout(timer);
  }
}
