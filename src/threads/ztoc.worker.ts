import { WasmEngine } from "../deflate/wasm-engine.ts";
import { TempByteLog } from "../sys/temp-byte-log.ts";
import { summaryOf } from "../ztoc/build-ztoc.ts";
import { ZtocBuilder } from "../ztoc/ztoc-builder.ts";
import type { ZtocWorkerAnswer, ZtocWorkerRequest } from "./ztoc-messages.ts";
import { errorMessageOf } from "./ztoc-messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<ZtocWorkerRequest>) => void) | null;
  postMessage(message: ZtocWorkerAnswer, transfer?: readonly ArrayBuffer[]): void;
};

const engine = new WasmEngine();
let checkpoints: TempByteLog | undefined;
let builder: ZtocBuilder | undefined;
let encoded: Iterator<Uint8Array> | undefined;

function answer(message: ZtocWorkerAnswer, transfer: readonly ArrayBuffer[] = []): void {
  self.postMessage(message, transfer);
}

function close(): void {
  checkpoints?.[Symbol.dispose]();
  checkpoints = undefined;
  builder = undefined;
  encoded = undefined;
}

function handle(request: ZtocWorkerRequest): void {
  switch (request.kind) {
    case "begin": {
      close();
      const { algorithm, spanSize, temporaryDirectory } = request;
      checkpoints = new TempByteLog({ directory: temporaryDirectory });
      builder = new ZtocBuilder({ algorithm, spanSize, checkpoints, engine: () => engine });
      return;
    }
    case "chunk":
      // After a failure, chunks that were already under way still arrive.
      builder?.push(new Uint8Array(request.buffer, 0, request.length));
      answer({ kind: "taken", buffer: request.buffer }, [request.buffer]);
      return;
    case "finish": {
      const built = builder?.finish();
      if (built === undefined) return;
      encoded = built.encoded.chunks()[Symbol.iterator]();
      answer({ kind: "built", summary: summaryOf(built) });
      return;
    }
    case "read": {
      const next = encoded?.next();
      if (next === undefined || next.done === true) {
        close();
        answer({ kind: "end" });
        return;
      }
      const bytes = new Uint8Array(next.value);
      answer({ kind: "bytes", bytes }, [bytes.buffer]);
    }
  }
}

self.onmessage = ({ data }) => {
  try {
    handle(data);
  } catch (error) {
    close();
    answer({ kind: "failed", error: errorMessageOf(error) });
  }
};
