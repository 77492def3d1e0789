import { Semaphore } from "../async/semaphore.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { TableBuilder, TableLayer } from "../image/table-builder.ts";
import type { Digest } from "../oci/digest.ts";
import { expectAnswer } from "./chunk-feeder.ts";
import type { TablesAnswer, TablesRequest } from "./tables-messages.ts";
import { WorkerConversation, type WorkerPort } from "./worker-conversation.ts";

export interface TablesWorkerOptions {
  readonly spawn: () => WorkerPort<TablesRequest, TablesAnswer>;
  readonly cacheRoot: string;
}

/** A TableBuilder in a thread of its own, which starts at once and ends, its heap with it, when disposed of. */
export class TablesWorker implements TableBuilder {
  readonly #worker: WorkerConversation<TablesRequest, TablesAnswer>;
  /** One question at a time. */
  readonly #turn = new Semaphore(1);
  readonly #abandoned = new AbortController();

  constructor({ spawn, cacheRoot }: TablesWorkerOptions) {
    this.#worker = new WorkerConversation(spawn());
    this.#worker.send({ kind: "open", cacheRoot });
  }

  async addZtoc(
    { digest, size }: TableLayer,
    ztoc: Uint8Array<ArrayBuffer>,
    options: WaitOptions = {},
  ): Promise<string | undefined> {
    const { buffer } = ztoc;
    return await this.#ask({ kind: "ztoc", digest, size, ztoc: buffer }, [buffer], options);
  }

  async addCached(digest: Digest, options: WaitOptions = {}): Promise<void> {
    await this.#ask({ kind: "cached", digest }, [], options);
  }

  async merge(layers: readonly Digest[], path: string, options: WaitOptions = {}): Promise<void> {
    await this.#ask({ kind: "merge", layers, path }, [], options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abandoned.abort(new Error("tables worker used after its end"));
    this.#worker[Symbol.dispose]();
  }

  async #ask(
    request: TablesRequest,
    transfer: ArrayBuffer[],
    { signal }: WaitOptions,
  ): Promise<string | undefined> {
    // An answer that nobody waits for any more would be taken for the next: then all of it is over.
    const { signal: abandoned } = this.#abandoned;
    using _turn = await this.#turn.acquire({
      signal: signal === undefined ? abandoned : AbortSignal.any([signal, abandoned]),
    });
    this.#worker.send(request, transfer);
    try {
      return expectAnswer(await this.#worker.receive(signal), "done").fault;
    } catch (error) {
      if (signal?.aborted === true) this.#abandoned.abort(error);
      throw error;
    }
  }
}
