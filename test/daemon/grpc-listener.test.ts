import { expect, test } from "bun:test";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { DaemonClient, daemonService } from "../../src/daemon/daemon-api.ts";
import { GrpcListener } from "../../src/daemon/grpc-listener.ts";
import { parseSocketAddress } from "../../src/daemon/socket-address.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

const DIGEST = parseDigest(`sha256:${"a".repeat(64)}`);

function listen(path: string, announced: string[] = []): Promise<GrpcListener> {
  return GrpcListener.listen({
    address: parseSocketAddress(path),
    fallbackPath: "/nonexistent/fallback.sock",
    services: [
      daemonService({
        explain: async (layers) =>
          layers.map((digest) => ({
            digest,
            snapshots: 1,
            localBytes: 2,
            totalBytes: 3,
            mounts: 4,
            refusal: "no reason",
          })),
        announce: ({ imageReference }) => void announced.push(imageReference),
      }),
    ],
    env: {},
    log: NO_LOG,
  });
}

test("listen() makes the directory, answers calls, and leaves no socket behind", async () => {
  await using dir = await tempDir();
  const path = dir.join("run", "s.sock");
  const announced: string[] = [];
  {
    await using _listener = await listen(path, announced);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(dir.join("run")).mode & 0o777).toBe(0o700);
    using client = new DaemonClient(path);
    const [report] = await client.explain([DIGEST]);
    expect(report).toMatchObject({ digest: DIGEST, localBytes: 2, refusal: "no reason" });
    await client.announce({
      namespace: "default",
      imageReference: "example.com/app:1",
      manifestDigest: DIGEST,
    });
  }
  expect(announced).toEqual(["example.com/app:1"]);
  expect(existsSync(path)).toBe(false);
});

test("listen() takes the place of a socket whose process is gone", async () => {
  await using dir = await tempDir();
  const path = dir.join("s.sock");
  const child = Bun.spawn([
    process.execPath,
    "-e",
    `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`,
  ]);
  await child.exited;
  expect(existsSync(path)).toBe(true);
  await using _listener = await listen(path);
  using client = new DaemonClient(path);
  expect(await client.explain([DIGEST])).toHaveLength(1);
});

test("listen() leaves alone what is no socket", async () => {
  await using dir = await tempDir();
  writeFileSync(dir.join("s.sock"), "precious");
  expect(await rejectionOf(listen(dir.join("s.sock")))).toMatchObject({
    kind: "failed-precondition",
  });
  expect(existsSync(dir.join("s.sock"))).toBe(true);
});

test("listen() says that a directory cannot be made, and how to make it", async () => {
  await using dir = await tempDir();
  const failure = await rejectionOf(listen(dir.join("a", "b", "s.sock")));
  expect(failure).toMatchObject({
    kind: "failed-precondition",
    hint: expect.stringContaining("mkdir -p"),
  });
});

test("a client of a socket where nobody listens hears that it is unavailable", async () => {
  await using dir = await tempDir();
  using client = new DaemonClient(dir.join("s.sock"));
  expect(await rejectionOf(client.explain([]))).toMatchObject({ kind: "unavailable" });
});

test("listen() refuses a socket at which another process answers", async () => {
  await using dir = await tempDir();
  await using first = await listen(dir.join("s.sock"));
  expect(await rejectionOf(listen(first.path))).toMatchObject({ kind: "failed-precondition" });
  using client = new DaemonClient(first.path);
  expect(await client.explain([])).toHaveLength(0);
});

test("without a socket of systemd's, fd:// listens at the path that is usual", async () => {
  await using dir = await tempDir();
  const path = dir.join("s.sock");
  await using listener = await GrpcListener.listen({
    address: parseSocketAddress("fd://"),
    fallbackPath: path,
    services: [],
    env: {},
    log: NO_LOG,
  });
  expect(listener.path).toBe(path);
});
