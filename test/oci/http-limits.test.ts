import { describe, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { ConnectionLimits } from "../../src/oci/connection-limits.ts";
import { HttpClient, type HttpClientOptions } from "../../src/oci/http.ts";
import { IdleWatch, leastProgress } from "../../src/oci/idle-watch.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";

const NO_RETRY = { maxRetries: 0, baseMs: 1, maxMs: 1, maxRetryAfterMs: 0 };

interface RawServer extends AsyncDisposable {
  readonly url: URL;
}

/** A server of one's own making: `talk` gets each connection after its request. */
async function rawServer(talk: (socket: Socket) => Promise<void>): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("data", () => {
      talk(socket).catch(() => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: new URL(`http://127.0.0.1:${port}/x`),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) {
        socket.destroy();
      }
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Writes over and over, every `everyMs`, until nobody listens. */
async function flood(socket: Socket, text: string | Uint8Array, everyMs: number): Promise<void> {
  while (!socket.destroyed) {
    if (!socket.write(text)) {
      await new Promise<void>((resolve) => {
        socket.once("drain", resolve);
        socket.once("close", () => resolve());
      });
    }
    await Bun.sleep(everyMs);
  }
}

async function get(url: URL, options: HttpClientOptions): Promise<Uint8Array> {
  const http = new HttpClient({ retry: NO_RETRY, ...options });
  await using response = await http.request({ method: "GET", url });
  return await response.bytes(100_000);
}

describe("HttpClient and servers that mean harm", () => {
  test.each([
    { title: "headers without end", text: `x-header: ${"a".repeat(1000)}\r\n`, everyMs: 0 },
    { title: "one header without end", text: "a".repeat(10_000), everyMs: 0 },
    { title: "a header now and then", text: "x: y\r\n", everyMs: 30 },
  ])("gives up on $title", async ({ text, everyMs }) => {
    await using server = await rawServer(async (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nx-first: ");
      await flood(socket, text, everyMs);
    });
    await expect(get(server.url, { idleTimeoutMs: 200 })).rejects.toMatchObject({
      kind: "unavailable",
    });
  });

  test("gives up on early hints without end", async () => {
    await using server = await rawServer((socket) =>
      flood(socket, "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", 1),
    );
    await expect(get(server.url, { idleTimeoutMs: 200 })).rejects.toMatchObject({
      kind: "unavailable",
    });
  });

  test("gives up on a body that drips", async () => {
    await using server = await rawServer(async (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
      await flood(socket, "x", 20);
    });
    await expect(get(server.url, { idleTimeoutMs: 150 })).rejects.toMatchObject({
      kind: "unavailable",
    });
  });

  test("gives up on a document that is not whole in time, however much comes", async () => {
    await using server = await rawServer(async (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 99000\r\n\r\n");
      await flood(socket, new Uint8Array(20_000), 400);
    });
    const started = performance.now();
    await expect(
      get(server.url, { idleTimeoutMs: 10_000, documentTimeoutMs: 300 }),
    ).rejects.toMatchObject({ kind: "unavailable" });
    expect(performance.now() - started).toBeLessThan(1500);
  });

  test("refuses a document without end", async () => {
    await using server = await rawServer(async (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      await flood(socket, new Uint8Array(50_000), 0);
    });
    await expect(get(server.url, {})).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("does not read a long error to its end", async () => {
    await using server = await rawServer(async (socket) => {
      socket.write("HTTP/1.1 404 Not Found\r\n\r\n");
      await flood(socket, new Uint8Array(50_000), 0);
    });
    await expect(get(server.url, {})).rejects.toMatchObject({ kind: "not-found" });
  });

  test("does not count the time that the reader takes", async () => {
    await using server = Bun.serve({
      port: 0,
      fetch: () => new Response(new Uint8Array(3_000_000)),
    });
    const http = new HttpClient({ retry: NO_RETRY, idleTimeoutMs: 100 });
    await using response = await http.request({ method: "GET", url: server.url });
    let size = 0;
    for await (const chunk of response.body) {
      await Bun.sleep(size === 0 ? 300 : 0);
      size += chunk.length;
    }
    expect(size).toBe(3_000_000);
  });
});

describe("HttpClient and many requests at once", () => {
  async function mostAtOnce(maxConnections: number): Promise<number> {
    let running = 0;
    let most = 0;
    await using server = Bun.serve({
      port: 0,
      fetch: async () => {
        running += 1;
        most = Math.max(most, running);
        await Bun.sleep(10);
        running -= 1;
        return new Response("x");
      },
    });
    const http = new HttpClient({ retry: NO_RETRY, maxConnections });
    await Promise.all(
      Array.from({ length: 40 }, async () => {
        await using response = await http.request({ method: "GET", url: server.url });
        await response.bytes(10);
      }),
    );
    return most;
  }

  test.each([{ maxConnections: 1 }, { maxConnections: 7 }])(
    "has at most $maxConnections with one host",
    async ({ maxConnections }) => {
      expect(await mostAtOnce(maxConnections)).toBe(maxConnections);
    },
  );

  test("does not wait for answers that nobody reads", async () => {
    await using server = Bun.serve({
      port: 0,
      fetch: () => new Response(new Uint8Array(5_000_000)),
    });
    const http = new HttpClient({ retry: NO_RETRY, maxConnections: 1 });
    await using idle = await http.request({ method: "GET", url: server.url });
    const chunks = idle.body[Symbol.asyncIterator]();
    await chunks.next();
    await using response = await http.request({ method: "GET", url: server.url });
    expect(response.status).toBe(200);
    await chunks.return?.();
  });

  test("leaves the line when aborted", async () => {
    const limits = new ConnectionLimits(1);
    using _first = await limits.acquire("http://a");
    const reason = new Error("no more");
    const waiting = limits.acquire("http://a", { signal: AbortSignal.abort(reason) });
    await expect(waiting).rejects.toBe(reason);
  });

  test.each([{ permits: 0 }, { permits: 1.5 }, { permits: -1 }])(
    "refuses $permits connections",
    ({ permits }) => {
      expect(() => new ConnectionLimits(permits)).toThrow(RangeError);
    },
  );
});

describe("IdleWatch", () => {
  test("aborts with the caller's signal, and with its reason", () => {
    const controller = new AbortController();
    using watch = new IdleWatch({ signal: controller.signal, timeoutMs: 1000 });
    const reason = new Error("no more");
    controller.abort(reason);
    expect(watch.signal.reason).toBe(reason);
  });

  test("adds up the waits between which too little came", async () => {
    using watch = new IdleWatch({ timeoutMs: 60 });
    for (let i = 0; i < 6; i++) {
      watch.wait();
      await Bun.sleep(20);
      watch.pause();
      watch.heard(10);
    }
    watch.wait();
    await Bun.sleep(5);
    expect(watch.signal.aborted).toBe(true);
  });

  test("takes 16 KiB for silence, and in a long wait what is less than a byte a millisecond", () => {
    expect(leastProgress(1000)).toBe(16_384);
    expect(leastProgress(300_000)).toBe(300_000);
  });

  test("begins anew when enough came", async () => {
    using watch = new IdleWatch({ timeoutMs: 500 });
    for (let i = 0; i < 6; i++) {
      watch.wait();
      await Bun.sleep(100);
      watch.pause();
      watch.heard(20_000);
    }
    expect(watch.signal.aborted).toBe(false);
  });

  test("leaves the caller's signal alone once disposed", () => {
    const controller = new AbortController();
    const watch = new IdleWatch({ signal: controller.signal, timeoutMs: 1000 });
    watch[Symbol.dispose]();
    controller.abort(new Error("late"));
    expect(watch.signal.aborted).toBe(false);
  });
});

describe("HttpClient and its log", () => {
  async function logOf(url: (server: URL) => URL, status: number): Promise<LogRecord[]> {
    const records: LogRecord[] = [];
    const log = createLogger({ sink: (record) => records.push(record), level: "debug" });
    await using server = Bun.serve({
      port: 0,
      fetch: () => new Response(new Uint8Array(1234), { status }),
    });
    await get(url(server.url), { log }).catch(() => undefined);
    return records;
  }

  test("tells method, redacted URL, status, bytes and time of a request when it has ended", async () => {
    const records = await logOf((server) => new URL("/a?sig=secret", server), 200);
    expect(records).toMatchObject([
      {
        level: "debug",
        message: "request",
        fields: { method: "GET", status: 200, bytes: 1234, ms: expect.any(Number) },
      },
    ]);
    expect(String(records[0]?.fields["url"])).toEndWith("/a?…");
  });

  test("tells of requests that fail", async () => {
    const records = await logOf((server) => server, 404);
    expect(records).toMatchObject([{ message: "request", fields: { status: 404 } }]);
  });

  test("tells of requests without an answer", async () => {
    const records = await logOf(() => new URL("http://127.0.0.1:1/"), 200);
    expect(records).toMatchObject([{ message: "request", fields: { status: undefined } }]);
  });
});
