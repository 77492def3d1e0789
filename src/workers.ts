// The only place that starts threads: `new Worker` finds its file both from source and in the
// compiled binary only from beside main.ts, which hands these factories down.

/** Starts threads/ztoc.worker.ts; whoever calls terminates it. */
export function spawnZtocWorker(): Worker {
  return new Worker(new URL("./threads/ztoc.worker.ts", import.meta.url).href, { smol: false });
}

/** Starts threads/inflate.worker.ts; whoever calls terminates it. */
export function spawnInflateWorker(): Worker {
  return new Worker(new URL("./threads/inflate.worker.ts", import.meta.url).href, { smol: false });
}

/** Starts threads/fuse.worker.ts; whoever calls ends it through FuseWorkers. */
export function spawnFuseWorker(): Worker {
  return new Worker(new URL("./threads/fuse.worker.ts", import.meta.url).href, { smol: false });
}

/** Starts threads/tables.worker.ts; whoever calls terminates it. */
export function spawnTablesWorker(): Worker {
  return new Worker(new URL("./threads/tables.worker.ts", import.meta.url).href, { smol: false });
}

/** Starts threads/ingest.worker.ts; whoever calls terminates it. */
export function spawnIngestWorker(): Worker {
  return new Worker(new URL("./threads/ingest.worker.ts", import.meta.url).href, { smol: false });
}
