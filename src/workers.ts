// The only place that starts threads: `new Worker` finds its file both from source and in the
// compiled binary only from beside main.ts, which hands these factories down.

/** Starts threads/ztoc.worker.ts; whoever calls terminates it. */
export function spawnZtocWorker(): Worker {
  return new Worker(new URL("./threads/ztoc.worker.ts", import.meta.url).href, { smol: false });
}
