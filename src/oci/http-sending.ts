import { SociError } from "../errors.ts";
import type { IdleWatch } from "./idle-watch.ts";

/** A body that can be sent again: `open` is called once an attempt. */
export interface HttpBody {
  /** Bytes; exactly as many must come. */
  readonly size: number;
  readonly open: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** A request's body on its way: its size is checked, and its own failure kept apart from the network's. */
export class HttpSending {
  readonly #body: HttpBody;
  readonly #watch: IdleWatch;
  failure: { readonly error: unknown } | undefined;

  constructor(body: HttpBody, watch: IdleWatch) {
    this.#body = body;
    this.#watch = watch;
  }

  /** The body as fetch() takes it. An empty one is no stream: it would be sent in chunked encoding. */
  stream(): Bun.BodyInit {
    return this.#body.size === 0 ? new Uint8Array(0) : this.#chunks();
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    let sent = 0;
    try {
      this.#watch.pause();
      for await (const chunk of this.#body.open()) {
        sent += chunk.length;
        this.#check(sent <= this.#body.size, sent);
        this.#watch.wait();
        yield chunk;
        this.#watch.heard(chunk.length);
        // What takes time now is whoever makes the body, not the server.
        this.#watch.pause();
      }
      this.#check(sent === this.#body.size, sent);
      this.#watch.wait();
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }

  #check(right: boolean, sent: number): void {
    if (!right) {
      throw new SociError(
        "data-loss",
        `Cannot send the body: it has ${sent} bytes, want ${this.#body.size}`,
      );
    }
  }
}
