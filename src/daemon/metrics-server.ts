import { lstatSync, rmSync } from "node:fs";
import { connect } from "node:net";
import type { Server } from "bun";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import { parseHttpAddress } from "./http-address.ts";

/** How the daemon is: everything in it is shown to whoever asks. */
export interface Health {
  readonly isHealthy: boolean;
  readonly details: Readonly<Record<string, string | number | boolean>>;
}

export interface MetricsServerOptions {
  /** HOST:PORT, or a path. */
  readonly address: string;
  readonly network: "tcp" | "unix";
  /** The text at /metrics; not served when absent. */
  readonly exposition?: (() => Promise<string>) | undefined;
  /** What /healthz says: 200, or 503 when not healthy or when there is no answer in time. */
  readonly health: () => Health | Promise<Health>;
  readonly log: Logger;
  /** How long `health` may take. */
  readonly healthTimeoutMs?: number;
}

// Of Prometheus's text format.
const TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8";
const JSON_TYPE = "application/json";
const MAX_BODY_BYTES = 64 * 1024;

/** HTTP for monitoring: `/metrics` and `/healthz`. Disposing closes it at once and removes its socket. */
export class MetricsServer implements AsyncDisposable {
  /** As it can be dialled: HOST:PORT, or the path. */
  readonly address: string;
  readonly #server: Server<undefined>;
  readonly #path: string | undefined;
  #ending: Promise<void> | undefined;

  private constructor(server: Server<undefined>, path: string | undefined) {
    this.#server = server;
    this.#path = path;
    const host = server.hostname ?? "";
    this.address = path ?? `${host.includes(":") ? `[${host}]` : host}:${server.port}`;
  }

  /** @throws invalid-argument, failed-precondition when it cannot listen there */
  static async listen(options: MetricsServerOptions): Promise<MetricsServer> {
    const { address, network } = options;
    const place = parseHttpAddress(address, network);
    const handlers = {
      fetch: (request: Request) => answer(request, options),
      error: (error: Error) => {
        options.log.warn("request of a monitor failed", { error });
        return new Response("Internal Server Error\n", { status: 500 });
      },
      maxRequestBodySize: MAX_BODY_BYTES,
    };
    if (place.network === "unix") await makeRoom(place.path);
    try {
      const server =
        place.network === "unix"
          ? Bun.serve({ ...handlers, unix: place.path })
          : serveTcp(place, handlers);
      return new MetricsServer(server, place.network === "unix" ? place.path : undefined);
    } catch (cause) {
      throw unservable(address, cause instanceof Error ? cause.message : String(cause), cause);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    await this.#ending;
  }

  async #end(): Promise<void> {
    await this.#server.stop(true);
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
  }
}

interface Handlers {
  readonly fetch: (request: Request) => Promise<Response>;
  readonly error: (error: Error) => Response;
  readonly maxRequestBodySize: number;
}

function serveTcp(
  { hostname, port }: { readonly hostname: string; readonly port: number },
  handlers: Handlers,
): Server<undefined> {
  try {
    return Bun.serve({ ...handlers, hostname, port });
  } catch (error) {
    const isTaken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
    if (hostname !== "::" || isTaken) throw error;
    // A machine without IPv6.
    return Bun.serve({ ...handlers, hostname: "0.0.0.0", port });
  }
}

async function answer(request: Request, options: MetricsServerOptions): Promise<Response> {
  const { pathname } = new URL(request.url);
  const isKnown =
    pathname === "/healthz" || (pathname === "/metrics" && options.exposition !== undefined);
  if (!isKnown) return new Response("Not Found\n", { status: 404 });
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response("Method Not Allowed\n", { status: 405, headers: { Allow: "GET, HEAD" } });
  }
  if (pathname === "/metrics" && options.exposition !== undefined) {
    return new Response(await options.exposition(), { headers: { "Content-Type": TEXT_TYPE } });
  }
  const { isHealthy, details } = await healthInTime(options);
  const body = JSON.stringify({ status: isHealthy ? "ok" : "unavailable", ...details });
  return new Response(`${body}\n`, {
    status: isHealthy ? 200 : 503,
    headers: { "Content-Type": JSON_TYPE, "Cache-Control": "no-store" },
  });
}

async function healthInTime({
  health,
  log,
  healthTimeoutMs = 5000,
}: MetricsServerOptions): Promise<Health> {
  const { promise: late, resolve } = Promise.withResolvers<Health>();
  const timer = setTimeout(
    () => resolve({ isHealthy: false, details: { reason: "no answer in time" } }),
    healthTimeoutMs,
  );
  try {
    return await Promise.race([health(), late]);
  } catch (error) {
    log.warn("health cannot be told", { error });
    return { isHealthy: false, details: { reason: "health cannot be told" } };
  } finally {
    clearTimeout(timer);
  }
}

/** Removes a socket that a dead process has left. */
async function makeRoom(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw unservable(path, "there is something else than a socket");
  if (await isAnswered(path)) throw unservable(path, "another process listens there");
  rmSync(path, { force: true });
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

function unservable(address: string, why: string, cause?: unknown): SociError {
  return new SociError(
    "failed-precondition",
    `Cannot serve HTTP at ${JSON.stringify(address)}: ${why}`,
    cause === undefined ? {} : { cause },
  );
}
