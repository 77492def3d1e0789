import { connect, createServer, type Server, type Socket } from "node:net";

export interface ForwardProxyOptions {
  /** What the Proxy-Authorization header must be. */
  readonly authorization?: string;
}

const HEAD_END = "\r\n\r\n";

/** A proxy as HTTP_PROXY and HTTPS_PROXY name them: whole URLs, and CONNECT. Disposing stops it. */
export class ForwardProxy implements AsyncDisposable {
  /** The head of each request, and whatever went through without TLS, as it came. */
  readonly seen: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor({ authorization }: ForwardProxyOptions) {
    this.#server = createServer((client) => {
      this.#keep(client);
      client.once("data", (bytes) => this.#begin(client, bytes.toString("latin1"), authorization));
    });
  }

  static async start(options: ForwardProxyOptions = {}): Promise<ForwardProxy> {
    const proxy = new ForwardProxy(options);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("it does not listen");
    return `http://127.0.0.1:${address.port}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #begin(client: Socket, text: string, authorization: string | undefined): void {
    this.seen.push(text);
    const given = /^proxy-authorization: (.*)\r$/im.exec(text)?.[1];
    if (authorization !== undefined && given !== authorization) {
      client.end("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
      return;
    }
    const [, tunnel] = /^CONNECT (\S+) /.exec(text) ?? [];
    const [, method, host, path] = /^([A-Z]+) http:\/\/([^/]+)(\S*) /.exec(text) ?? [];
    const target = this.#connect(client, tunnel ?? host ?? "");
    if (tunnel !== undefined) {
      client.write(`HTTP/1.1 200 OK${HEAD_END}`);
    } else {
      // One request a connection is enough here.
      const head = text
        .replace(/^.*\r\n/, `${method} ${path} HTTP/1.1\r\nconnection: close\r\n`)
        .replace(/^proxy-.*\r\n/gim, "")
        .replace(/^connection: keep-alive\r\n/gim, "");
      target.write(head, "latin1");
    }
    client.on("data", (more) => {
      target.write(more);
    });
    target.pipe(client);
  }

  #connect(client: Socket, hostPort: string): Socket {
    const [host = "", port = "80"] = hostPort.split(":");
    const target = connect(Number(port), host);
    this.#keep(target);
    target.once("close", () => client.destroy());
    client.once("close", () => target.destroy());
    return target;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#sockets.delete(socket));
  }
}
