import { describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { parseHttpAddress } from "../../src/daemon/http-address.ts";
import { MetricsServer, type MetricsServerOptions } from "../../src/daemon/metrics-server.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

const HEALTHY = { isHealthy: true, details: { images: 2 } };

async function listen(options: Partial<MetricsServerOptions> = {}): Promise<MetricsServer> {
  const metrics = new Metrics();
  return await MetricsServer.listen({
    address: "127.0.0.1:0",
    network: "tcp",
    exposition: () => metrics.exposition(),
    health: () => HEALTHY,
    log: NO_LOG,
    ...options,
  });
}

describe("MetricsServer", () => {
  test("serves metrics in Prometheus's text format", async () => {
    await using server = await listen();
    const response = await fetch(`http://${server.address}/metrics`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
    expect(await response.text()).toContain("# TYPE soci_fs_operation_count counter\n");
  });

  test("tells that all is well", async () => {
    await using server = await listen();
    const response = await fetch(`http://${server.address}/healthz`);
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 200,
      body: { status: "ok", images: 2 },
    });
  });

  test.each([
    {
      title: "it is not well",
      health: () => ({ isHealthy: false, details: { reason: "stopping" } }),
      reason: "stopping",
    },
    {
      title: "nobody can tell",
      health: () => Promise.reject(new Error("broken inside")),
      reason: "health cannot be told",
    },
    {
      title: "there is no answer in time",
      health: () => new Promise<never>(() => undefined),
      reason: "no answer in time",
    },
  ])("answers 503 when $title", async ({ health, reason }) => {
    await using server = await listen({ health, healthTimeoutMs: 20 });
    const response = await fetch(`http://${server.address}/healthz`);
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 503,
      body: { status: "unavailable", reason },
    });
  });

  test.each([
    { title: "another path", path: "/", method: "GET", exposition: true, status: 404 },
    {
      title: "metrics that are off",
      path: "/metrics",
      method: "GET",
      exposition: false,
      status: 404,
    },
    { title: "another method", path: "/metrics", method: "POST", exposition: true, status: 405 },
  ])("refuses $title", async ({ path, method, exposition, status }) => {
    await using server = await listen(exposition ? {} : { exposition: undefined });
    expect((await fetch(`http://${server.address}${path}`, { method })).status).toBe(status);
  });

  test("answers 500 when metrics cannot be told, and goes on", async () => {
    let times = 0;
    await using server = await listen({
      exposition: async () => {
        times += 1;
        if (times === 1) throw new Error("broken inside");
        return "x 1\n";
      },
    });
    const statuses = [];
    for (let index = 0; index < 2; index += 1) {
      statuses.push((await fetch(`http://${server.address}/metrics`)).status);
    }
    expect(statuses).toEqual([500, 200]);
  });

  test("serves on a socket, in the place of one left behind, and takes it away again", async () => {
    await using dir = await tempDir();
    const path = dir.join("metrics.sock");
    const child = Bun.spawn([
      process.execPath,
      "-e",
      `Bun.serve({ unix: ${JSON.stringify(path)}, fetch: () => new Response() }); process.kill(process.pid, "SIGKILL");`,
    ]);
    await child.exited;
    expect(existsSync(path)).toBe(true);
    {
      await using server = await listen({ address: path, network: "unix" });
      expect(server.address).toBe(path);
      expect((await fetch("http://localhost/healthz", { unix: path })).status).toBe(200);
    }
    expect(existsSync(path)).toBe(false);
  });

  test("refuses a socket on which somebody listens", async () => {
    await using dir = await tempDir();
    const options = { address: dir.join("s"), network: "unix" as const };
    await using _first = await listen(options);
    const error = await rejectionOf(listen(options));
    expect(error).toMatchObject({ kind: "failed-precondition" });
    expect((await fetch("http://localhost/healthz", { unix: options.address })).status).toBe(200);
  });

  test("refuses a path with a file in it, which stays", async () => {
    await using dir = await tempDir();
    const address = dir.join("file");
    writeFileSync(address, "x");
    const error = await rejectionOf(listen({ address, network: "unix" }));
    expect(error).toMatchObject({ kind: "failed-precondition" });
    expect(existsSync(address)).toBe(true);
  });

  test("serves on every address of the machine where none is named", async () => {
    await using server = await listen({ address: ":0" });
    const port = server.address.split(":").at(-1);
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  });

  test("refuses a port that is taken", async () => {
    await using first = await listen();
    const error = await rejectionOf(listen({ address: first.address }));
    expect(error).toMatchObject({ kind: "failed-precondition" });
  });
});

describe("parseHttpAddress()", () => {
  test.each([
    { text: "localhost:9000", want: { network: "tcp", hostname: "localhost", port: 9000 } },
    { text: ":9000", want: { network: "tcp", hostname: "::", port: 9000 } },
    { text: "[::1]:0", want: { network: "tcp", hostname: "::1", port: 0 } },
  ])("reads $text", ({ text, want }) => {
    expect(parseHttpAddress(text, "tcp")).toMatchObject(want);
  });

  test("reads a path", () => {
    expect(parseHttpAddress("unix:///run/m", "unix")).toEqual({ network: "unix", path: "/run/m" });
  });

  test.each([
    { text: "", network: "tcp" as const },
    { text: "localhost", network: "tcp" as const },
    { text: "a:65536", network: "tcp" as const },
    { text: "http://a:1", network: "tcp" as const },
    { text: "::1:80", network: "tcp" as const },
    { text: "run/m", network: "unix" as const },
    { text: "", network: "unix" as const },
  ])('refuses "$text" as $network', ({ text, network }) => {
    expect(() => parseHttpAddress(text, network)).toThrow("Cannot serve HTTP");
  });
});
