import type { WorkerConversation } from "./worker-conversation.ts";
import { type ErrorMessage, errorOf } from "./ztoc-messages.ts";

const BUFFER_BYTES = 256 * 1024;
/** Buffers under way to and from one worker: enough that it never waits for the reader. */
const BUFFERS = 6;

/** The first `length` bytes of the buffer; it comes back when they are taken. */
export interface ChunkMessage {
  readonly kind: "chunk";
  readonly buffer: ArrayBuffer;
  readonly length: number;
}

export interface TakenMessage {
  readonly kind: "taken";
  readonly buffer: ArrayBuffer;
  /** Bytes that have come out so far, of a worker that says so. */
  readonly uncompressed?: number;
}

type AnyAnswer = TakenMessage | { readonly kind: "failed"; readonly error: ErrorMessage };

export interface ChunkFeederOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told what the worker said of each chunk; the next one waits for it. */
  readonly onTaken?: ((taken: TakenMessage) => Promise<void>) | undefined;
}

/** Packs chunks of any size into buffers that are transferred to a worker and come back to be filled again. */
export class ChunkFeeder {
  readonly #worker: WorkerConversation<ChunkMessage, { readonly kind: string }>;
  readonly #options: ChunkFeederOptions;
  #buffer = new Uint8Array(BUFFER_BYTES);
  #length = 0;
  #underWay = 0;

  constructor(
    worker: WorkerConversation<ChunkMessage, { readonly kind: string }>,
    options: ChunkFeederOptions = {},
  ) {
    this.#worker = worker;
    this.#options = options;
  }

  async push(chunk: Uint8Array): Promise<void> {
    for (let left = chunk; left.length > 0;) {
      const count = Math.min(left.length, BUFFER_BYTES - this.#length);
      this.#buffer.set(left.subarray(0, count), this.#length);
      this.#length += count;
      left = left.subarray(count);
      if (this.#length === BUFFER_BYTES) await this.#send();
    }
  }

  /** Sends what is left and waits until the worker has taken everything. */
  async finish(): Promise<void> {
    if (this.#length > 0) await this.#send();
    while (this.#underWay > 0) await this.#takeBack();
  }

  async #send(): Promise<void> {
    const { buffer } = this.#buffer;
    this.#worker.send({ kind: "chunk", buffer, length: this.#length }, [buffer]);
    this.#length = 0;
    this.#underWay++;
    if (this.#underWay < BUFFERS) this.#buffer = new Uint8Array(BUFFER_BYTES);
    else this.#buffer = new Uint8Array(await this.#takeBack());
  }

  async #takeBack(): Promise<ArrayBuffer> {
    const answer = await this.#worker.receive(this.#options.signal);
    const taken = expectAnswer(answer as AnyAnswer, "taken"); // whose kind is checked now
    this.#underWay--;
    await this.#options.onTaken?.(taken);
    return taken.buffer;
  }
}

/** An answer that must be of this kind. @throws the worker's failure */
export function expectAnswer<
  Answer extends { readonly kind: string } | { readonly kind: "failed"; error: ErrorMessage },
  K extends Answer["kind"],
>(answer: Answer, kind: K): Extract<Answer, { kind: K }> {
  if (answer.kind === "failed" && "error" in answer) throw errorOf(answer.error);
  if (answer.kind !== kind) throw new Error(`worker answered "${answer.kind}", want "${kind}"`);
  return answer as Extract<Answer, { kind: K }>; // its kind was just checked
}
