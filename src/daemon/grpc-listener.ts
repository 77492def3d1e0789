import { chmodSync, lstatSync, mkdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server as SocketServer, type Socket } from "node:net";
import { dirname } from "node:path";
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { activationFd, type SocketAddress } from "./socket-address.ts";

/** A service and what answers its calls. */
export interface GrpcService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

export interface GrpcListenerOptions {
  readonly address: SocketAddress;
  /** Where to listen when systemd was to pass a socket and passed none. */
  readonly fallbackPath: string;
  readonly services: readonly GrpcService[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
}

/** Calls under way get so long to end. */
const PATIENCE_MS = 5000;
const MAX_MESSAGE_BYTES = 16 << 20;

/** gRPC on a unix socket. Disposing takes no more calls and lets those under way end, for a while. */
export class GrpcListener implements AsyncDisposable {
  /** As it can be dialled. */
  readonly path: string;
  readonly #server: Server;
  readonly #sockets: SocketServer;
  readonly #connections: Set<Socket>;
  readonly #isOurs: boolean;
  #ending: Promise<void> | undefined;

  private constructor(opened: {
    readonly path: string;
    readonly server: Server;
    readonly sockets: SocketServer;
    readonly connections: Set<Socket>;
    readonly isOurs: boolean;
  }) {
    this.path = opened.path;
    this.#server = opened.server;
    this.#sockets = opened.sockets;
    this.#connections = opened.connections;
    this.#isOurs = opened.isOurs;
  }

  /** @throws failed-precondition when it cannot listen there */
  static async listen(options: GrpcListenerOptions): Promise<GrpcListener> {
    const { address, fallbackPath, services, env, log } = options;
    const server = new Server({
      "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
      "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    });
    for (const { definition, implementation } of services) {
      server.addService(definition, implementation);
    }
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const connections = new Set<Socket>();
    const sockets = createServer((socket) => {
      connections.add(socket);
      socket.once("close", () => connections.delete(socket));
      socket.on("error", (error) => log.debug("connection of a client broke", { error }));
      injector.injectConnection(socket);
    });
    const fd = address.kind === "activation" ? activationFd({ env, pid: process.pid }) : undefined;
    const path = address.kind === "path" ? address.path : fallbackPath;
    if (fd === undefined) await makeRoom(path);
    await new Promise<void>((resolve, reject) => {
      const refuse = (cause: Error): void => {
        reject(
          new SociError("failed-precondition", `Cannot listen on "${path}": ${cause.message}`, {
            cause,
          }),
        );
      };
      sockets.once("error", refuse);
      sockets.listen(fd === undefined ? { path } : { fd }, () => {
        sockets.off("error", refuse);
        // One client that cannot be taken, for want of descriptors, is no end of the daemon.
        sockets.on("error", (error) =>
          log.warn("connection of a client cannot be taken", { error }),
        );
        resolve();
      });
    });
    // Whoever reaches it can mount and remove snapshots.
    if (fd === undefined) chmodSync(path, 0o600);
    return new GrpcListener({ path, server, sockets, connections, isOurs: fd === undefined });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    await this.#ending;
  }

  async #end(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#sockets.close(() => resolve());
    });
    const late = setTimeout(() => this.#server.forceShutdown(), PATIENCE_MS);
    await new Promise<void>((resolve) => {
      this.#server.tryShutdown(() => resolve());
    });
    clearTimeout(late);
    for (const connection of this.#connections) connection.destroy();
    await closed;
    // Node removes the socket of a path that it has bound; this is for what it leaves.
    if (this.#isOurs) rmSync(this.path, { force: true });
  }
}

/** The directory is made (its parent must be there), and a socket that a dead daemon left is removed. */
async function makeRoom(path: string): Promise<void> {
  const directory = dirname(path);
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (cause) {
    if (!isErrno(cause, "EEXIST")) {
      throw new SociError(
        "failed-precondition",
        `Cannot listen on "${path}": cannot make the directory "${directory}"`,
        { cause, hint: `Make it: mkdir -p ${directory}` },
      );
    }
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new SociError(
      "failed-precondition",
      `Cannot listen on "${path}": there is something else than a socket`,
    );
  }
  if (await isAnswered(path)) {
    throw new SociError(
      "failed-precondition",
      `Cannot listen on "${path}": another process listens there`,
      { hint: "Stop that one first, or give this one a socket of its own with --address" },
    );
  }
  rmSync(path);
}

async function isAnswered(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ path });
    const settle = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}
