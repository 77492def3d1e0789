/**
 * The outcome of `promise`, unless `signal` aborts first: then throws `signal.reason`. The work
 * behind the promise goes on; its late failure is dropped.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) {
    return promise;
  }
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) {
      abort();
    } else {
      signal.addEventListener("abort", abort, { once: true });
    }
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
