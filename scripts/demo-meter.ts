import { createConnection, createServer, type Server, type Socket } from "node:net";
import { delay } from "../src/async/delay.ts";

// More than a request on the demo's slow line takes.
const QUIET_MS = 80;
const MAX_QUIET_WAIT_MS = 2000;

/** What has gone over a line since it was opened. */
export interface Traffic {
  readonly requests: number;
  /** From the registry, heads of answers included. */
  readonly bytes: number;
}

/**
 * A relay in front of a registry that counts what is asked of it and what it sends, whoever asks:
 * of a mount, the kernel's reads included, nobody else can tell.
 */
export class LineMeter implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #requests = 0;
  #bytes = 0;

  private constructor(target: string) {
    this.#server = createServer((client) => this.#connect(client, target));
  }

  /** Listens on loopback; `target` is host and port. */
  static async start(target: string): Promise<LineMeter> {
    const meter = new LineMeter(target);
    await new Promise<void>((resolve) => meter.#server.listen(0, "127.0.0.1", resolve));
    return meter;
  }

  /** As names of images spell it: `127.0.0.1:<port>`. */
  get host(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") {
      throw new Error("the meter does not listen on a port");
    }
    return `127.0.0.1:${address.port}`;
  }

  get traffic(): Traffic {
    return { requests: this.#requests, bytes: this.#bytes };
  }

  /** Waits until nothing has come for a while: what was begun for one read may end after it. */
  async quiet({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    const deadline = performance.now() + MAX_QUIET_WAIT_MS;
    let before: Traffic | undefined;
    while (performance.now() < deadline) {
      const { requests, bytes } = this.traffic;
      if (before?.requests === requests && before.bytes === bytes) return;
      before = { requests, bytes };
      await delay(QUIET_MS, { signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #connect(client: Socket, target: string): void {
    const [hostname, port] = target.split(":");
    const upstream = createConnection({ host: hostname ?? "127.0.0.1", port: Number(port) });
    // HTTP/1.1 without pipelining: what follows an answer, or a connection's start, is a request.
    let isAnswered = true;
    client.on("data", () => {
      if (isAnswered) this.#requests += 1;
      isAnswered = false;
    });
    upstream.on("data", ({ length }) => {
      this.#bytes += length;
      isAnswered = true;
    });
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.once("close", () => this.#sockets.delete(socket));
    }
    client.pipe(upstream);
    upstream.pipe(client);
    client.on("error", () => upstream.destroy());
    client.once("close", () => upstream.destroy());
    // What came before the end is still on its way to the client; after a failure nothing is.
    upstream.on("error", () => client.destroy());
    upstream.once("close", () => client.end());
  }
}
