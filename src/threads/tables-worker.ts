import { abortable } from "../async/abortable.ts";
import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { LayerKey } from "../cache/layer-key.ts";
import type { TableBuilder, TableLayer } from "../image/table-builder.ts";
import type { TablesAnswer, TablesQuestion, TablesRequest } from "./tables-messages.ts";
import type { WorkerPort } from "./worker-conversation.ts";
import { errorOf } from "./ztoc-messages.ts";

export interface TablesWorkerOptions {
  readonly spawn: () => WorkerPort<TablesRequest, TablesAnswer>;
  readonly cacheRoot: string;
}

const PATIENCE_MS = 1000;

/** A TableBuilder in a thread of its own, which starts at once and ends, its heap with it, when disposed of. */
export class TablesWorker implements TableBuilder {
  readonly #port: WorkerPort<TablesRequest, TablesAnswer>;
  readonly #asked = new Map<number, PromiseWithResolvers<string | undefined>>();
  #lastId = 0;
  #failure: Error | undefined;

  constructor({ spawn, cacheRoot }: TablesWorkerOptions) {
    this.#port = spawn();
    this.#port.addEventListener("message", ({ data }) => this.#settle(data));
    this.#port.addEventListener("error", (event) => {
      this.#fail(new Error(`worker failed: ${event.message}`, { cause: event.error }));
    });
    this.#port.postMessage({ kind: "open", cacheRoot }, []);
  }

  async addZtoc(
    { key, size }: TableLayer,
    { buffer }: Uint8Array<ArrayBuffer>,
    options: WaitOptions = {},
  ): Promise<string | undefined> {
    return await this.#ask({ kind: "ztoc", key, size, ztoc: buffer }, [buffer], options);
  }

  async addCached(key: LayerKey, options: WaitOptions = {}): Promise<void> {
    await this.#ask({ kind: "cached", key }, [], options);
  }

  async merge(layers: readonly LayerKey[], path: string, options: WaitOptions = {}): Promise<void> {
    await this.#ask({ kind: "merge", layers, path }, [], options);
  }

  /** Lets the thread end the files that it is writing, for a moment. */
  async [Symbol.asyncDispose](): Promise<void> {
    const underWay = [...this.#asked.values()].map(({ promise }) => promise);
    const patience = new AbortController();
    const late = delay(PATIENCE_MS, { signal: patience.signal }).catch(() => undefined);
    await Promise.race([Promise.allSettled(underWay), late]);
    patience.abort();
    this.#port.terminate();
    this.#fail(new Error("tables worker used after its end"));
  }

  async #ask(
    question: TablesQuestion,
    transfer: ArrayBuffer[],
    { signal }: WaitOptions,
  ): Promise<string | undefined> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<string | undefined>();
    this.#asked.set(id, answer);
    this.#port.postMessage({ kind: "ask", id, question }, transfer);
    return await abortable(answer.promise, signal);
  }

  #settle(answer: TablesAnswer): void {
    const asked = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    if (answer.kind === "failed") asked?.reject(errorOf(answer.error));
    else asked?.resolve(answer.fault);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#asked.values()) reject(this.#failure);
    this.#asked.clear();
  }
}
