import { describe, expect, test } from "bun:test";
import { Client, credentials, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { DaemonClient, daemonService, type DaemonCalls } from "../../src/daemon/daemon-api.ts";
import { GrpcListener } from "../../src/daemon/grpc-listener.ts";
import { SociError } from "../../src/errors.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { rejectionOf } from "../support/failure.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const LAYER = digestOf(Buffer.from("layer"));
const REPORT = {
  digest: LAYER,
  snapshots: 1,
  localBytes: 2,
  totalBytes: 3,
  mounts: 4,
  refusal: "",
};

async function listen(dir: TempDir, calls: Partial<DaemonCalls> = {}): Promise<GrpcListener> {
  const service = daemonService({
    explain: async () => [REPORT],
    announce: () => undefined,
    ...calls,
  });
  return await GrpcListener.listen({
    address: { kind: "path", path: dir.join("s.sock") },
    fallbackPath: "/nonexistent/fallback.sock",
    services: [service],
    env: {},
    log: NO_LOG,
  });
}

/** Sends bytes as they are; resolves to the gRPC status. */
function send(path: string, method: string, bytes: Buffer): Promise<number> {
  const client = new Client(`unix:${path}`, credentials.createInsecure());
  const asIs = (value: Buffer): Buffer => value;
  return new Promise((resolve) => {
    client.makeUnaryRequest(`/sociable.v1.Daemon/${method}`, asIs, asIs, bytes, (error) => {
      client.close();
      resolve(error?.code ?? status.OK);
    });
  });
}

describe("daemonService()", () => {
  test.each([
    { title: "no JSON", method: "Explain", body: "{" },
    { title: "an array", method: "Explain", body: "[]" },
    { title: "layers that are none", method: "Explain", body: '{"layers":7}' },
    { title: "layers that are no texts", method: "Explain", body: '{"layers":[{}]}' },
    { title: "no image", method: "Announce", body: "{}" },
    {
      title: "a manifest that is no digest",
      method: "Announce",
      body: '{"namespace":"a","imageReference":"b","manifestDigest":"../../etc"}',
    },
  ])("refuses $title", async ({ method, body }) => {
    await using dir = await tempDir();
    const never = (): never => {
      throw new Error("nobody was to be asked");
    };
    await using listener = await listen(dir, { explain: never, announce: never });
    expect(await send(listener.path, method, Buffer.from(body))).toBe(status.INVALID_ARGUMENT);
  });

  test("leaves out what is no digest, and asks for what is", async () => {
    await using dir = await tempDir();
    const asked: unknown[] = [];
    await using listener = await listen(dir, {
      explain: async (layers) => {
        asked.push(...layers);
        return [];
      },
    });
    const body = JSON.stringify({ layers: ["../../etc", LAYER] });
    expect(await send(listener.path, "Explain", Buffer.from(body))).toBe(status.OK);
    expect(asked).toEqual([LAYER]);
  });

  test("tells a bug as what it is", async () => {
    await using dir = await tempDir();
    await using listener = await listen(dir, {
      explain: async () => {
        throw new TypeError("bug");
      },
    });
    expect(await send(listener.path, "Explain", Buffer.from('{"layers":[]}'))).toBe(
      status.INTERNAL,
    );
  });
});

describe("DaemonClient", () => {
  test("asks a daemon, and asks again", async () => {
    await using dir = await tempDir();
    await using listener = await listen(dir);
    using client = new DaemonClient(listener.path);
    expect(await client.explain([LAYER])).toEqual([REPORT]);
    expect(await client.explain([])).toEqual([REPORT]);
  });

  test("says that there is no daemon, and what to do", async () => {
    await using dir = await tempDir();
    using client = new DaemonClient(dir.join("none.sock"));
    const error = await rejectionOf(client.explain([LAYER]));
    expect(error).toBeInstanceOf(SociError);
    expect(error).toMatchObject({
      kind: "unavailable",
      hint: expect.stringContaining("sociable serve"),
    });
  });

  test("throws the signal's reason when a daemon does not answer", async () => {
    await using dir = await tempDir();
    const answer = Promise.withResolvers<readonly []>();
    await using listener = await listen(dir, { explain: () => answer.promise });
    using client = new DaemonClient(listener.path);
    const giveUp = new AbortController();
    const asking = client.explain([LAYER], { signal: giveUp.signal });
    await Bun.sleep(5);
    giveUp.abort(new Error("enough"));
    expect(await rejectionOf(asking)).toMatchObject({ message: "enough" });
    expect(await rejectionOf(client.explain([LAYER], { signal: giveUp.signal }))).toMatchObject({
      message: "enough",
    });
    answer.resolve([]);
  });

  test.each([
    { title: "no JSON", answer: "{" },
    { title: "no digest", answer: '{"layers":[{"digest":"x"}]}' },
    { title: "a negative size", answer: JSON.stringify({ layers: [{ ...REPORT, mounts: -1 }] }) },
  ])("refuses an answer that is $title", async ({ answer }) => {
    await using dir = await tempDir();
    const server = new Server();
    const [definition] = [daemonService({ explain: async () => [], announce: () => undefined })];
    server.addService(definition.definition, {
      explain: (_: unknown, done: (error: null, bytes: Buffer) => void) =>
        done(null, Buffer.from(answer)),
    });
    const path = dir.join("bad.sock");
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    using client = new DaemonClient(path);
    const error = await rejectionOf(client.explain([LAYER]));
    server.forceShutdown();
    expect(error).toBeInstanceOf(SociError);
  });
});
