/** The part of a Worker that a conversation needs. */
export interface WorkerPort<Request, Answer> {
  postMessage(message: Request, transfer: ArrayBuffer[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent<Answer>) => void): void;
  addEventListener(type: "error", listener: (event: ErrorEvent) => void): void;
  terminate(): void;
}

/** Questions to a worker and its answers in order, as promises instead of events. */
export class WorkerConversation<Request, Answer> implements Disposable {
  readonly #port: WorkerPort<Request, Answer>;
  readonly #answers: Answer[] = [];
  #failure: Error | undefined;
  #waiting: { resolve(answer: Answer): void; reject(reason: unknown): void } | undefined;

  constructor(port: WorkerPort<Request, Answer>) {
    this.#port = port;
    port.addEventListener("message", ({ data }) => {
      if (this.#waiting === undefined) {
        this.#answers.push(data);
        return;
      }
      this.#waiting.resolve(data);
      this.#waiting = undefined;
    });
    port.addEventListener("error", (event) => {
      this.#failure = new Error(`worker failed: ${event.message}`, { cause: event.error });
      this.#waiting?.reject(this.#failure);
      this.#waiting = undefined;
    });
  }

  send(request: Request, transfer: ArrayBuffer[] = []): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#port.postMessage(request, transfer);
  }

  /** The next answer; one caller at a time. Throws the signal's reason when that comes first. */
  async receive(signal?: AbortSignal): Promise<Answer> {
    signal?.throwIfAborted();
    const answer = this.#answers.shift();
    if (answer !== undefined) return answer;
    if (this.#failure !== undefined) throw this.#failure;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const abort = () => {
      this.#waiting = undefined;
      reject(signal?.reason);
    };
    this.#waiting = { resolve, reject };
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  [Symbol.dispose](): void {
    this.#port.terminate();
  }
}
