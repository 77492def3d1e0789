import { connect, type Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Certificates } from "./certificates.ts";

export interface TlsFrontOptions {
  /** Host and port behind it, which are spoken to without TLS. */
  readonly target: string;
  readonly certificates: Certificates;
  /** Whether clients are asked for a certificate, and refused without a good one. */
  readonly clients?: "unasked" | "asked" | "checked";
}

/** TLS in front of a registry. Disposing stops it. */
export class TlsFront implements AsyncDisposable {
  /** Names of the clients that connected, by their certificates; undefined for those that showed none. */
  readonly clients: (string | undefined)[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor({ target, certificates, clients = "unasked" }: TlsFrontOptions) {
    const { ca, server } = certificates;
    this.#server = createServer(
      {
        cert: server.cert,
        key: server.key,
        ca: ca.cert,
        requestCert: clients !== "unasked",
        rejectUnauthorized: clients === "checked",
      },
      (socket) => this.#accept(socket, target),
    );
    // Handshakes fail here on purpose.
    this.#server.on("tlsClientError", () => undefined);
  }

  static async start(options: TlsFrontOptions): Promise<TlsFront> {
    const front = new TlsFront(options);
    await new Promise<void>((resolve) => front.#server.listen(0, "127.0.0.1", resolve));
    return front;
  }

  /** As names of images spell it: `127.0.0.1:<port>`. */
  get host(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("it does not listen");
    return `127.0.0.1:${address.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(client: TLSSocket, target: string): void {
    const name: unknown = client.getPeerCertificate()?.subject?.CN;
    this.clients.push(typeof name === "string" ? name : undefined);
    const [host = "", port = ""] = target.split(":");
    const registry = connect(Number(port), host);
    for (const [socket, other] of [
      [client, registry],
      [registry, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.once("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}
