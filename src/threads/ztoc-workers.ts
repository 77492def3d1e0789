import { Semaphore } from "../async/semaphore.ts";
import type { ZtocFactory, ZtocRequest, ZtocResult } from "../ztoc/build-ztoc.ts";
import { ChunkFeeder, expectAnswer } from "./chunk-feeder.ts";
import type { WorkerPort } from "./worker-conversation.ts";
import { readChunks } from "./read-chunks.ts";
import { WorkerConversation } from "./worker-conversation.ts";
import type { ZtocWorkerAnswer, ZtocWorkerRequest } from "./ztoc-messages.ts";

export interface ZtocWorkersOptions {
  readonly spawn: () => WorkerPort<ZtocWorkerRequest, ZtocWorkerAnswer>;
  /** How many layers are built at once. */
  readonly count: number;
  /** Where checkpoints go that are too many for memory. */
  readonly temporaryDirectory: string;
}

type Conversation = WorkerConversation<ZtocWorkerRequest, ZtocWorkerAnswer>;

/** Builds zTOCs in worker threads, which are started when needed and kept for the next layer. */
export class ZtocWorkers implements Disposable {
  readonly #spawn: ZtocWorkersOptions["spawn"];
  readonly #temporaryDirectory: string;
  readonly #slots: Semaphore;
  readonly #idle: Conversation[] = [];
  #disposed = false;

  constructor({ spawn, count, temporaryDirectory }: ZtocWorkersOptions) {
    this.#spawn = spawn;
    this.#slots = new Semaphore(count);
    this.#temporaryDirectory = temporaryDirectory;
  }

  readonly build: ZtocFactory = async (source, request, use) => {
    using _slot = await this.#slots.acquire({ signal: request.signal });
    const worker = this.#idle.pop() ?? new WorkerConversation(this.#spawn());
    let reusable = false;
    try {
      const result = await buildIn(worker, source, request, this.#temporaryDirectory);
      const value = await use(result);
      reusable = !this.#disposed;
      return value;
    } finally {
      // A worker in the middle of a layer is of no more use; its memory and file go with it.
      if (reusable) this.#idle.push(worker);
      else worker[Symbol.dispose]();
    }
  };

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const worker of this.#idle.splice(0)) worker[Symbol.dispose]();
  }
}

async function buildIn(
  worker: Conversation,
  source: AsyncIterable<Uint8Array>,
  { algorithm, spanSize, signal }: ZtocRequest,
  temporaryDirectory: string,
): Promise<ZtocResult> {
  const feeder = new ChunkFeeder(worker, { signal });
  worker.send({ kind: "begin", algorithm, spanSize, temporaryDirectory });
  for await (const chunk of source) await feeder.push(chunk);
  await feeder.finish();
  worker.send({ kind: "finish" });
  const { summary } = expectAnswer(await worker.receive(signal), "built");
  return { ...summary, chunks: () => readChunks(worker, signal) };
}
