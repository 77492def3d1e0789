import { expect, test } from "bun:test";
import { LineMeter } from "../../scripts/demo-meter.ts";

const { signal } = new AbortController();

function startServer() {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) =>
      new Response((await request.bytes()).length > 0 ? "got" : "x".repeat(5000)),
  });
  return {
    host: `127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

test("LineMeter counts requests, several on a connection too, and the bytes that come for them", async () => {
  await using server = startServer();
  await using meter = await LineMeter.start(server.host);
  for (let i = 0; i < 3; i++) {
    const answer = await fetch(`http://${meter.host}/`);
    expect(await answer.text()).toHaveLength(5000);
  }
  await meter.quiet({ signal });
  expect(meter.traffic.requests).toBe(3);
  expect(meter.traffic.bytes).toBeGreaterThan(15_000);
  expect(meter.traffic.bytes).toBeLessThan(17_000);
});

test("LineMeter counts a long request as one", async () => {
  await using server = startServer();
  await using meter = await LineMeter.start(server.host);
  const body = new Uint8Array(1 << 20);
  expect(await (await fetch(`http://${meter.host}/`, { method: "PUT", body })).text()).toBe("got");
  await meter.quiet({ signal });
  expect(meter.traffic).toMatchObject({ requests: 1 });
});

test("LineMeter closes the client's connection when there is nobody behind it", async () => {
  const server = startServer();
  await server[Symbol.asyncDispose]();
  await using meter = await LineMeter.start(server.host);
  await expect(fetch(`http://${meter.host}/`)).rejects.toThrow();
  expect(meter.traffic.bytes).toBe(0);
});
