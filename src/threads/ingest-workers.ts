import { Semaphore } from "../async/semaphore.ts";
import type { IngestRequest, IngestResult, LayerIngester } from "../image/layer-ingester.ts";
import { ChunkFeeder, expectAnswer } from "./chunk-feeder.ts";
import type { IngestWorkerAnswer, IngestWorkerRequest } from "./ingest-messages.ts";
import { readChunks } from "./read-chunks.ts";
import { WorkerConversation, type WorkerPort } from "./worker-conversation.ts";

export interface IngestWorkersOptions {
  readonly spawn: () => WorkerPort<IngestWorkerRequest, IngestWorkerAnswer>;
  /** How many layers are taken at once. */
  readonly count: number;
  readonly cacheRoot: string;
}

const ABANDON_MS = 5000;

type Conversation = WorkerConversation<IngestWorkerRequest, IngestWorkerAnswer>;

/**
 * Takes layers into the cache in worker threads, which are started when needed. A worker is kept for
 * the next layer as long as others wait, then ends, and its heap with it.
 */
export class IngestWorkers implements Disposable {
  readonly #spawn: IngestWorkersOptions["spawn"];
  readonly #cacheRoot: string;
  readonly #slots: Semaphore;
  readonly #running = new Set<Conversation>();
  readonly #idle: Conversation[] = [];
  #asked = 0;

  constructor({ spawn, count, cacheRoot }: IngestWorkersOptions) {
    this.#spawn = spawn;
    this.#slots = new Semaphore(count);
    this.#cacheRoot = cacheRoot;
  }

  readonly ingest: LayerIngester = async (source, request, use) => {
    this.#asked++;
    try {
      using _slot = await this.#slots.acquire({ signal: request.signal });
      const worker = this.#idle.pop() ?? this.#start();
      let isReusable = false;
      try {
        const value = await use(await ingestIn(worker, source, request, this.#cacheRoot));
        isReusable = true;
        return value;
      } finally {
        if (isReusable && this.#asked > this.#running.size) this.#idle.push(worker);
        else {
          if (!isReusable) await abandon(worker);
          this.#end(worker);
        }
      }
    } finally {
      this.#asked--;
    }
  };

  [Symbol.dispose](): void {
    for (const worker of this.#running) this.#end(worker);
    this.#idle.length = 0;
  }

  #start(): Conversation {
    const worker: Conversation = new WorkerConversation(this.#spawn());
    this.#running.add(worker);
    return worker;
  }

  #end(worker: Conversation): void {
    this.#running.delete(worker);
    worker[Symbol.dispose]();
  }
}

/** Lets a worker in the middle of a layer remove what it has written of it. */
async function abandon(worker: Conversation): Promise<void> {
  try {
    worker.send({ kind: "abandon" });
    const limit = AbortSignal.timeout(ABANDON_MS);
    while ((await worker.receive(limit)).kind !== "abandoned") {
      // answers to what was under way
    }
  } catch {
    // It hangs, or has died: what it leaves is swept when the cache is opened next.
  }
}

async function ingestIn(
  worker: Conversation,
  source: AsyncIterable<Uint8Array>,
  { layer, target, diffId, onSize, signal }: IngestRequest,
  cacheRoot: string,
): Promise<IngestResult> {
  const feeder = new ChunkFeeder(worker, {
    signal,
    onTaken: async ({ uncompressed }) => {
      if (uncompressed !== undefined) await onSize?.(uncompressed);
    },
  });
  worker.send({ kind: "begin", cacheRoot, layer, target });
  for await (const chunk of source) await feeder.push(chunk);
  await feeder.finish();
  worker.send({ kind: "finish", diffId: await diffId() });
  const { ztoc } = expectAnswer(await worker.receive(signal), "done");
  return {
    ztoc: ztoc === undefined ? undefined : { ...ztoc, chunks: () => readChunks(worker, signal) },
  };
}
