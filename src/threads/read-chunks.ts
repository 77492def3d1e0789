import { expectAnswer } from "./chunk-feeder.ts";
import type { WorkerConversation } from "./worker-conversation.ts";
import type { ErrorMessage } from "./ztoc-messages.ts";

type ChunkAnswer =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "end" }
  | { readonly kind: "failed"; readonly error: ErrorMessage };

/** What a worker has made, piece by piece, each when it is asked for. @throws the worker's failure */
export async function* readChunks(
  worker: WorkerConversation<{ readonly kind: "read" }, { readonly kind: string }>,
  signal?: AbortSignal,
): AsyncIterable<Uint8Array> {
  for (;;) {
    worker.send({ kind: "read" });
    const answer = (await worker.receive(signal)) as ChunkAnswer; // whose kind is checked next
    if (answer.kind === "end") return;
    yield expectAnswer(answer, "bytes").bytes;
  }
}
