import type { CompareResult } from "./compare-reads.worker.ts";

/** Starts a thread that reads until its result is asked for, which the returned function does. */
export async function startReader(
  program: string,
  start: unknown,
): Promise<() => Promise<CompareResult>> {
  const worker = new Worker(program);
  const next = (): Promise<CompareResult | "opened"> =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
  const opened = next();
  worker.postMessage(start);
  await opened;
  return async () => {
    const result = next();
    worker.postMessage("stop");
    const found = await result;
    worker.terminate();
    if (found === "opened") throw new Error("opened twice");
    return found;
  };
}
