import { WasmEngine } from "../deflate/wasm-engine.ts";
import { IngestSession } from "../image/ingest-session.ts";
import { ingestDirectory } from "../cache/cache-paths.ts";
import { TempByteLog } from "../sys/temp-byte-log.ts";
import type { IngestWorkerAnswer, IngestWorkerRequest } from "./ingest-messages.ts";
import { errorMessageOf } from "./ztoc-messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<IngestWorkerRequest>) => void) | null;
  postMessage(message: IngestWorkerAnswer, transfer?: readonly ArrayBuffer[]): void;
};

const engine = new WasmEngine();
let checkpoints: TempByteLog | undefined;
let session: IngestSession | undefined;
let encoded: Iterator<Uint8Array> | undefined;

function answer(message: IngestWorkerAnswer, transfer: readonly ArrayBuffer[] = []): void {
  self.postMessage(message, transfer);
}

async function close(): Promise<void> {
  encoded = undefined;
  const ending = session;
  session = undefined;
  try {
    await ending?.[Symbol.asyncDispose]();
  } finally {
    checkpoints?.[Symbol.dispose]();
    checkpoints = undefined;
  }
}

async function handle(request: IngestWorkerRequest): Promise<void> {
  switch (request.kind) {
    case "begin": {
      await close();
      const { cacheRoot, layer, target } = request;
      // Beside what it is about, so that it has room there, too.
      checkpoints = new TempByteLog({ directory: ingestDirectory(cacheRoot) });
      session = await IngestSession.start({
        cacheRoot,
        layer,
        target,
        checkpoints,
        engine: () => engine,
      });
      return;
    }
    case "chunk": {
      // After a failure, chunks that were already under way still arrive.
      await session?.push(new Uint8Array(request.buffer, 0, request.length));
      const uncompressed = session?.size ?? 0;
      answer({ kind: "taken", buffer: request.buffer, uncompressed }, [request.buffer]);
      return;
    }
    case "finish": {
      const ztoc = await session?.finish(request.diffId);
      if (session === undefined) return;
      encoded = ztoc?.encoded.chunks()[Symbol.iterator]();
      answer({ kind: "done", ztoc: ztoc?.summary });
      if (ztoc === undefined) await close();
      return;
    }
    case "abandon":
      await close();
      answer({ kind: "abandoned" });
      return;
    case "read": {
      const next = encoded?.next();
      if (next === undefined || next.done === true) {
        await close();
        answer({ kind: "end" });
        return;
      }
      const bytes = new Uint8Array(next.value);
      answer({ kind: "bytes", bytes }, [bytes.buffer]);
    }
  }
}

async function handleOrFail(request: IngestWorkerRequest): Promise<void> {
  try {
    await handle(request);
  } catch (error) {
    try {
      await close();
    } finally {
      answer({ kind: "failed", error: errorMessageOf(error) });
    }
  }
}

// One after another: some of it waits.
let turn: Promise<void> = Promise.resolve();

self.onmessage = ({ data }) => {
  turn = turn.then(() => handleOrFail(data));
};
