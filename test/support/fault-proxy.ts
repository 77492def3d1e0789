import { createConnection, createServer, type Server, type Socket } from "node:net";

/** What happens to one answer, after `afterBytes` of it have passed: headers count. */
export interface AnswerFault {
  /** reset: RST; close: FIN, as of a server that ended; stall: silence, the connection stays. */
  readonly kind: "reset" | "close" | "stall";
  readonly afterBytes?: number;
  /** Only of requests whose first line fits. */
  readonly request?: RegExp;
}

interface Order {
  readonly fault: AnswerFault;
  left: number;
}

/**
 * A TCP proxy in front of a registry, with faults to order: of single answers, and of the whole line,
 * which may hang or be down. One request of HTTP/1.1 at a time on a connection.
 */
export class FaultProxy implements AsyncDisposable {
  readonly host: string;
  readonly #target: string;
  readonly #port: number;
  readonly #lines = new Set<Line>();
  readonly #orders: Order[] = [];
  #server: Server | undefined;
  #isStalled = false;
  #connections = 0;

  private constructor(target: string, server: Server, port: number) {
    this.#target = target;
    this.#server = server;
    this.#port = port;
    this.host = `127.0.0.1:${port}`;
  }

  static async start(target: string): Promise<FaultProxy> {
    const server = createServer();
    const port = await listen(server, 0);
    const proxy = new FaultProxy(target, server, port);
    server.on("connection", (client) => proxy.#connect(client));
    return proxy;
  }

  /** Connections so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Faults that were ordered and have not come up yet. */
  get faultsLeft(): number {
    return this.#orders.reduce((sum, { left }) => sum + left, 0);
  }

  /** The next `times` answers that fit are treated so. */
  order(times: number, fault: AnswerFault): void {
    this.#orders.push({ fault, left: times });
  }

  /** From now on nothing comes any more from the registry, until flow(). Requests reach it. */
  stall(): void {
    this.#isStalled = true;
    for (const line of this.#lines) line.hold();
  }

  /** Ends stall(): what was held back comes now. */
  flow(): void {
    this.#isStalled = false;
    for (const line of this.#lines) line.release();
  }

  /** Breaks all connections; new ones are refused until up(). */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => {
      if (server === undefined) resolve();
      else server.close(() => resolve());
    });
    for (const line of this.#lines) line.reset();
    await closed;
  }

  /** Ends down(). */
  async up(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer((client) => this.#connect(client));
    await listen(server, this.#port);
    this.#server = server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  #connect(client: Socket): void {
    this.#connections += 1;
    const [hostname = "", port] = this.#target.split(":");
    const upstream = createConnection({ host: hostname, port: Number(port) });
    const line = new Line(client, upstream, (request) => this.#take(request));
    this.#lines.add(line);
    if (this.#isStalled) line.hold();
    client.once("close", () => this.#lines.delete(line));
  }

  #take(request: string): AnswerFault | undefined {
    const order = this.#orders.find(
      ({ fault, left }) => left > 0 && (fault.request?.test(request) ?? true),
    );
    if (order !== undefined) order.left -= 1;
    return order?.fault;
  }
}

/** One connection of a client, and its own to the registry. */
class Line {
  readonly #client: Socket;
  readonly #upstream: Socket;
  #held: Uint8Array[] | undefined;
  #fault: AnswerFault | undefined;
  #left = Number.POSITIVE_INFINITY;

  constructor(
    client: Socket,
    upstream: Socket,
    faultOf: (request: string) => AnswerFault | undefined,
  ) {
    this.#client = client;
    this.#upstream = upstream;
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    client.on("data", (chunk) => {
      const bytes = Buffer.from(chunk);
      const [request = ""] = bytes.toString("latin1").split("\r\n", 1);
      if (/ HTTP\/1\.1$/.test(request)) {
        this.#fault = faultOf(request);
        this.#left =
          this.#fault === undefined ? Number.POSITIVE_INFINITY : (this.#fault.afterBytes ?? 0);
      }
      upstream.write(bytes);
    });
    upstream.on("data", (chunk) => this.#answer(Buffer.from(chunk)));
    client.on("error", () => upstream.destroy());
    client.on("close", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
    upstream.on("end", () => {
      if (this.#held === undefined) client.end();
    });
    client.on("drain", () => upstream.resume());
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const chunk of held) this.#pass(chunk);
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#upstream.destroy();
  }

  #answer(chunk: Buffer): void {
    const passed = chunk.subarray(0, Math.max(0, Math.min(this.#left, chunk.length)));
    this.#left -= chunk.length;
    if (passed.length > 0) {
      if (this.#held === undefined) this.#pass(passed);
      else this.#held.push(passed);
    }
    if (this.#left >= 0 || this.#fault === undefined) return;
    const { kind } = this.#fault;
    if (kind === "stall") return;
    this.#upstream.destroy();
    // What was passed shall arrive before the end does.
    setTimeout(() => (kind === "reset" ? this.reset() : this.#client.end()), FLUSH_MS);
  }

  #pass(chunk: Uint8Array): void {
    if (this.#client.destroyed) return;
    if (!this.#client.write(chunk)) this.#upstream.pause();
  }
}

const FLUSH_MS = 20;

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port to listen on");
  return address.port;
}
