import { createConnection, createServer, type Server, type Socket } from "node:net";

export interface SocketRelayOptions {
  /** Path of the socket behind it. */
  readonly target: string;
  /** Path of its own. */
  readonly path: string;
  /** After how many bytes to the target `onReached` is called, once. */
  readonly afterBytes?: number;
  readonly onReached?: () => void;
}

/** A relay in front of a daemon's unix socket that counts what is sent to it, and can be gone at any byte. */
export class SocketRelay implements AsyncDisposable {
  readonly #options: SocketRelayOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #sent = 0;
  #isReached = false;

  private constructor(options: SocketRelayOptions) {
    this.#options = options;
    this.#server = createServer((client) => this.#relay(client));
  }

  static async start(options: SocketRelayOptions): Promise<SocketRelay> {
    const relay = new SocketRelay(options);
    await new Promise<void>((resolve) => relay.#server.listen(options.path, resolve));
    return relay;
  }

  /** Bytes that went to the target. */
  get sent(): number {
    return this.#sent;
  }

  /** Is gone, as a daemon that was killed: connections end, and nobody listens any more. */
  vanish(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #relay(client: Socket): void {
    const upstream = createConnection(this.#options.target);
    client.on("data", (chunk: Buffer) => {
      const { afterBytes = Number.POSITIVE_INFINITY, onReached } = this.#options;
      const left = afterBytes - this.#sent;
      const passed = left < chunk.length ? chunk.subarray(0, Math.max(0, left)) : chunk;
      this.#sent += passed.length;
      upstream.write(passed);
      if (passed.length === chunk.length || this.#isReached) {
        if (this.#isReached) upstream.write(chunk.subarray(passed.length));
        return;
      }
      this.#isReached = true;
      onReached?.();
      if (!upstream.destroyed) upstream.write(chunk.subarray(passed.length));
    });
    upstream.on("data", (chunk) => client.write(chunk));
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("end", () => other.end());
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        other.destroy();
        this.#sockets.delete(socket);
      });
    }
  }
}
