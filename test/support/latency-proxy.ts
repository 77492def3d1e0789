import { createConnection, createServer, type Server, type Socket } from "node:net";

export interface LatencyProxyOptions {
  /** Host and port behind it. */
  readonly target: string;
  /** Milliseconds before each request reaches the target. */
  readonly delayMs?: number;
  /** Bytes a second from the target, over all connections; no limit when not given. */
  readonly bytesPerSecond?: number;
  /** Cuts a connection after this many bytes from the target. */
  readonly resetAfterBytes?: number;
  /** Cuts a connection after this many bytes to the target. */
  readonly resetAfterSentBytes?: number;
  /** How many connections are cut, the first ones; all when not given. */
  readonly resets?: number;
}

// For what was written to be on its way before the connection is cut.
const FLUSH_MS = 20;

interface ProxyState {
  /** When the line is free again, in the clock of performance.now(). */
  freeAt: number;
  resetsLeft: number;
}

/**
 * A TCP proxy in front of a registry that makes its line long and narrow. Each burst of bytes from
 * the client (a request of HTTP/1.1, which waits for its answer) is held back for `delayMs`.
 */
export class LatencyProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
  }

  static async start(options: LatencyProxyOptions): Promise<LatencyProxy> {
    const sockets = new Set<Socket>();
    const state: ProxyState = {
      freeAt: 0,
      resetsLeft: options.resets ?? Number.POSITIVE_INFINITY,
    };
    const server = createServer((client) => {
      for (const socket of connect(client, options, state)) {
        sockets.add(socket);
        socket.once("close", () => sockets.delete(socket));
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new LatencyProxy(server, sockets);
  }

  /** As names of images spell it: `127.0.0.1:<port>`. */
  get host(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") {
      throw new Error("the proxy does not listen on a port");
    }
    return `127.0.0.1:${address.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await closed;
  }
}

function connect(
  client: Socket,
  options: LatencyProxyOptions,
  state: ProxyState,
): readonly Socket[] {
  const [hostname, port] = options.target.split(":");
  const upstream = createConnection({ host: hostname ?? "127.0.0.1", port: Number(port) });
  const isCut = state.resetsLeft > 0;
  state.resetsLeft -= 1;
  let sendable = (isCut ? options.resetAfterSentBytes : undefined) ?? Number.POSITIVE_INFINITY;
  client.setNoDelay(true);
  upstream.setNoDelay(true);
  // The rest of a long request comes right behind its start: all of it is late by the same time.
  client.on("data", (chunk) => {
    const bytes = Buffer.from(chunk);
    const passed = bytes.subarray(0, Math.max(sendable, 0));
    sendable -= bytes.length;
    setTimeout(() => upstream.write(passed), options.delayMs ?? 0);
    if (sendable < 0) {
      setTimeout(() => upstream.destroy(), (options.delayMs ?? 0) + FLUSH_MS);
      setTimeout(() => client.resetAndDestroy(), (options.delayMs ?? 0) + FLUSH_MS);
    }
  });
  client.on("error", () => upstream.destroy());
  client.on("close", () => upstream.destroy());
  // An upstream that broke off is what the client shall see, and nothing else.
  upstream.on("error", () => client.destroy());
  answer(upstream, client, { options, state, isCut }).catch(() => client.destroy());
  return [client, upstream];
}

async function answer(
  upstream: Socket,
  client: Socket,
  {
    options,
    state,
    isCut,
  }: {
    readonly options: LatencyProxyOptions;
    readonly state: ProxyState;
    readonly isCut: boolean;
  },
): Promise<void> {
  const { bytesPerSecond, resetAfterBytes = Number.POSITIVE_INFINITY } = options;
  let left = isCut ? resetAfterBytes : Number.POSITIVE_INFINITY;
  for await (const chunk of upstream as AsyncIterable<Uint8Array>) {
    if (bytesPerSecond !== undefined) {
      state.freeAt =
        Math.max(state.freeAt, performance.now()) + (chunk.length / bytesPerSecond) * 1000;
      await Bun.sleep(state.freeAt - performance.now());
    }
    const isFull = !client.write(chunk.subarray(0, Math.max(left, 0)));
    left -= chunk.length;
    if (left < 0) {
      // fetch() drops what it has not handed out when the connection ends: give it the time.
      await Bun.sleep(FLUSH_MS);
      break;
    }
    if (isFull && !client.destroyed) {
      await new Promise<void>((resolve) => {
        client.once("drain", resolve);
        client.once("close", () => resolve());
      });
    }
  }
  upstream.destroy();
  client.end();
}
