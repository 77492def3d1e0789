/** Serves ranges of one blob under any path, badly as ordered. Disposing stops it. */
export class FaultyServer implements AsyncDisposable {
  /** The next `stalls` bodies stop after `stallAfter` bytes, and neither go on nor end. */
  stalls = 0;
  stallAfter = 0;
  /** Offset of a byte of the blob that is always wrong. */
  damageAt: number | undefined;
  readonly #blob: Uint8Array;
  readonly #port: number;
  #server: Bun.Server<undefined>;

  private constructor(blob: Uint8Array) {
    this.#blob = blob;
    this.#server = this.#listen(0);
    this.#port = this.#server.port ?? 0;
  }

  static start(blob: Uint8Array): FaultyServer {
    return new FaultyServer(blob);
  }

  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Nothing listens there any more. */
  async stop(): Promise<void> {
    await this.#server.stop(true);
  }

  /** At the same place again. */
  restart(): void {
    this.#server = this.#listen(this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }

  #listen(port: number): Bun.Server<undefined> {
    return Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 255,
      development: false,
      fetch: (request) => this.#answer(request),
    });
  }

  #answer(request: Request): Response {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "") ?? [];
    const size = this.#blob.length;
    const start = Number(first ?? 0);
    const end = Math.min(Number(last ?? size - 1) + 1, size);
    const bytes = this.#blob.slice(start, end);
    if (this.damageAt !== undefined && this.damageAt >= start && this.damageAt < end) {
      bytes[this.damageAt - start] = ~(bytes[this.damageAt - start] ?? 0);
    }
    return new Response(this.#bodyOf(bytes), {
      status: first === undefined ? 200 : 206,
      headers: {
        "content-length": String(bytes.length),
        "content-range": `bytes ${start}-${end - 1}/${size}`,
      },
    });
  }

  #bodyOf(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | ReadableStream {
    if (this.stalls === 0) return bytes;
    this.stalls -= 1;
    const { stallAfter } = this;
    return new ReadableStream({
      start: (controller) => controller.enqueue(bytes.subarray(0, stallAfter)),
    });
  }
}
