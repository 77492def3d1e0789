import type { FuseWorkerPort } from "../threads/fuse-workers.ts";

/** Threads that are started ahead, so that they load their code while other things are done. */
export class WarmThreads implements Disposable {
  readonly #spawn: () => FuseWorkerPort;
  readonly #ready: FuseWorkerPort[];

  constructor(spawn: () => FuseWorkerPort, count: number) {
    this.#spawn = spawn;
    this.#ready = Array.from({ length: count }, spawn);
  }

  /** One of them, or a fresh one when there is none left; whoever calls ends it. */
  take(): FuseWorkerPort {
    return this.#ready.pop() ?? this.#spawn();
  }

  /** Ends those that nobody has taken. */
  [Symbol.dispose](): void {
    for (const port of this.#ready.splice(0)) port.terminate();
  }
}
