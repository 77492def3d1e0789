import { gunzipSync } from "node:zlib";
import { SociError } from "../errors.ts";
import { redactUrl } from "./redact-url.ts";

export interface HttpResponseOptions {
  readonly url: URL;
  readonly isRedirected: boolean;
  readonly body: AsyncIterable<Uint8Array>;
  /** Breaks the body off unless disposed in time. */
  readonly deadline: () => Disposable;
  readonly release: () => Promise<void>;
}

/** A response without an error status. Read its body to the end or dispose it: else the connection stays taken. */
export class HttpResponse implements AsyncDisposable {
  readonly status: number;
  readonly headers: Headers;
  /** Where it came from, after redirects. */
  readonly url: URL;
  readonly isRedirected: boolean;
  /** The body as it came over the wire, once. @throws unavailable when the connection breaks */
  readonly body: AsyncIterable<Uint8Array>;
  readonly #deadline: () => Disposable;
  readonly #release: () => Promise<void>;

  constructor(
    { status, headers }: Response,
    { url, isRedirected, body, deadline, release }: HttpResponseOptions,
  ) {
    this.status = status;
    this.headers = headers;
    this.url = url;
    this.isRedirected = isRedirected;
    this.body = body;
    this.#deadline = deadline;
    this.#release = release;
  }

  /**
   * The whole body, at most `maxBytes`, freed of its Content-Encoding, within the deadline for
   * documents. @throws data-loss when larger
   */
  async bytes(maxBytes: number): Promise<Uint8Array> {
    const what = `body of "${redactUrl(this.url)}"`;
    const bytes = await this.#collect(maxBytes, what);
    if (this.headers.get("content-encoding") !== "gzip") {
      return bytes;
    }
    try {
      return gunzipSync(bytes, { maxOutputLength: maxBytes });
    } catch (cause) {
      throw new SociError("data-loss", `Cannot decode ${what}`, { cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#release();
  }

  async #collect(maxBytes: number, what: string): Promise<Uint8Array> {
    using _deadline = this.#deadline();
    const announced = Number(this.headers.get("content-length") ?? 0);
    const chunks: Uint8Array[] = [];
    let size = 0;
    if (announced <= maxBytes) {
      for await (const chunk of this.body) {
        size += chunk.length;
        if (size > maxBytes) {
          break;
        }
        chunks.push(chunk);
      }
    }
    const found = Math.max(announced, size);
    if (found > maxBytes) {
      await this.#release();
      throw new SociError(
        "data-loss",
        `Cannot read ${what}: it has ${found} bytes or more, want at most ${maxBytes}`,
      );
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }
}
