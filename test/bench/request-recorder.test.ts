import { expect, test } from "bun:test";
import { countRounds } from "./count-rounds.ts";
import { RequestRecorder } from "./request-recorder.ts";

/** A server that answers when `together` requests have come. */
function startServer(together: number): Bun.Server<undefined> & AsyncDisposable {
  let arrived = 0;
  const all = Promise.withResolvers<void>();
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async () => {
      arrived += 1;
      if (arrived === together) all.resolve();
      await all.promise;
      return new Response("x".repeat(300_000));
    },
  });
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.stop(true) });
}

test("RequestRecorder sees requests one after another as so many rounds", async () => {
  await using server = startServer(1);
  await using recorder = await RequestRecorder.start(`127.0.0.1:${server.port}`);
  for (let i = 0; i < 3; i++) {
    expect(await (await fetch(`http://${recorder.host}/`)).text()).toHaveLength(300_000);
  }
  const requests = recorder.take();
  expect({ requests: requests.length, rounds: countRounds(requests) }).toEqual({
    requests: 3,
    rounds: 3,
  });
});

test("RequestRecorder counts the bytes of an answer, with its headers", async () => {
  await using server = startServer(1);
  await using recorder = await RequestRecorder.start(`127.0.0.1:${server.port}`);
  await (await fetch(`http://${recorder.host}/`)).text();
  const [request] = recorder.take();
  expect(request?.bytes).toBeWithin(300_050, 301_000);
});

test("RequestRecorder sees requests at once as one round", async () => {
  await using server = startServer(3);
  await using recorder = await RequestRecorder.start(`127.0.0.1:${server.port}`);
  const get = async () => await (await fetch(`http://${recorder.host}/`)).text();
  await Promise.all([get(), get(), get()]);
  const requests = recorder.take();
  expect({ requests: requests.length, rounds: countRounds(requests) }).toEqual({
    requests: 3,
    rounds: 1,
  });
});
