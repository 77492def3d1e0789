import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { RequestInterval } from "./count-rounds.ts";

/** A request and its answer on the line. */
export interface RecordedRequest extends RequestInterval {
  /** Of the answer, its headers included. */
  readonly bytes: number;
  /** Its first line and headers, as far as they came at once. */
  readonly head: string;
}

interface OpenRequest {
  readonly startMs: number;
  readonly head: string;
  endMs: number;
  bytes: number;
}

const HEAD_BYTES = 8192;

/**
 * A TCP relay that notes when each request passes and when its answer has passed, as its client sees
 * it. Of HTTP/1.1 without pipelining: what a client sends after an answer began is the next request.
 */
export class RequestRecorder implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #requests: OpenRequest[] = [];

  private constructor(target: string) {
    this.#server = createServer((client) => this.#relay(client, target));
  }

  static async start(target: string): Promise<RequestRecorder> {
    const recorder = new RequestRecorder(target);
    await new Promise<void>((resolve) => recorder.#server.listen(0, "127.0.0.1", resolve));
    return recorder;
  }

  /** As names of images spell it: `127.0.0.1:<port>`. */
  get host(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") {
      throw new Error("the recorder does not listen on a port");
    }
    return `127.0.0.1:${address.port}`;
  }

  /** Requests since the last call; those that no answer came to are left out. */
  take(): readonly RecordedRequest[] {
    const answered = this.#requests.filter(({ bytes }) => bytes > 0);
    this.#requests = [];
    return answered;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #relay(client: Socket, target: string): void {
    const [host = "127.0.0.1", port] = target.split(":");
    const upstream = createConnection({ host, port: Number(port) });
    let current: OpenRequest | undefined;
    client.on("data", (chunk) => {
      if (current === undefined || current.bytes > 0) {
        const startMs = performance.now();
        const head = chunk.toString("latin1", 0, HEAD_BYTES);
        current = { startMs, endMs: startMs, bytes: 0, head };
        this.#requests.push(current);
      }
      upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      if (current !== undefined) {
        current.bytes += chunk.length;
        current.endMs = performance.now();
      }
      // A client that reads slowly is not read ahead of.
      if (client.write(chunk)) return;
      upstream.pause();
      client.once("drain", () => upstream.resume());
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.setNoDelay(true);
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
