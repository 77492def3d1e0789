import { expect, test } from "bun:test";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import type { FuseWorkerAnswer, FuseWorkerRequest } from "../../src/threads/fuse-messages.ts";
import { type FuseWorkerPort, FuseWorkers } from "../../src/threads/fuse-workers.ts";
import { rejectionOf } from "../support/failure.ts";
import { errorMessageOf } from "../../src/threads/ztoc-messages.ts";

/** A thread that says these things when it is started, and ends when it is told to. */
function port(...said: readonly FuseWorkerAnswer[]): FuseWorkerPort {
  let hear: ((event: MessageEvent<FuseWorkerAnswer>) => void) | undefined;
  const say = (data: FuseWorkerAnswer) => hear?.(new MessageEvent("message", { data }));
  return {
    postMessage(request: FuseWorkerRequest) {
      const answers = request.kind === "stop" ? [{ kind: "stopped" } as const] : said;
      queueMicrotask(() => answers.forEach(say));
    },
    addEventListener(type: string, listener: unknown) {
      if (type === "message") hear = listener as typeof hear; // by the type beside it
    },
    terminate: () => undefined,
  };
}

function options(ports: readonly FuseWorkerPort[], records: LogRecord[] = []) {
  return {
    ports,
    fd: -1,
    negotiated: {
      ...{ minor: 45, kernelMinor: 45, flags: 0, flags2: 0 },
      ...{ maxReadahead: 0, maxRead: 4096, maxBackground: 1 },
    },
    tables: [],
    root: { kind: "chain", chain: 1 } as const,
    onMiss: () => undefined,
    onInterrupt: () => undefined,
    onDamage: () => undefined,
    log: createLogger({ sink: (record) => records.push(record) }),
  };
}

test("FuseWorkers says in the log what its threads have to say", async () => {
  const records: LogRecord[] = [];
  const error = errorMessageOf(new RangeError("beyond"));
  const words = { kind: "log", level: "error", message: "failed", fields: { opcode: 15 } } as const;
  await using _workers = await FuseWorkers.start(
    options([port({ ...words, error }, { kind: "ready" })], records),
  );
  expect(records).toMatchObject([
    { level: "error", message: "failed", fields: { opcode: 15, error: { message: "beyond" } } },
  ]);
});

test("FuseWorkers.start() ends all threads when one fails", async () => {
  const failure: FuseWorkerAnswer = { kind: "failed", error: errorMessageOf(new Error("no map")) };
  await expect(
    FuseWorkers.start(options([port({ kind: "ready" }), port(failure)])),
  ).rejects.toThrow("no map");
});

const listeners = new WeakMap<FuseWorkerPort, (event: MessageEvent<FuseWorkerAnswer>) => void>();

function say(port: FuseWorkerPort, data: FuseWorkerAnswer | undefined): void {
  if (data !== undefined) listeners.get(port)?.(new MessageEvent("message", { data }));
}

/** A thread that is ready, and says what it makes of each change. */
function changing(
  heard: FuseWorkerRequest[],
  answer: (request: FuseWorkerRequest) => FuseWorkerAnswer | undefined,
): FuseWorkerPort {
  const port: FuseWorkerPort = {
    postMessage(request: FuseWorkerRequest) {
      heard.push(request);
      const data = request.kind === "start" ? ({ kind: "ready" } as const) : answer(request);
      queueMicrotask(() => say(port, data));
    },
    addEventListener(type: string, listener: unknown) {
      // By the type beside it.
      if (type === "message") listeners.set(port, listener as (event: MessageEvent) => void);
    },
    terminate: () => undefined,
  };
  return port;
}

const done = (request: FuseWorkerRequest, error?: Error): FuseWorkerAnswer | undefined => {
  if (request.kind === "stop") return { kind: "stopped" };
  if (request.kind === "start") return undefined;
  const failed = error === undefined ? undefined : errorMessageOf(error);
  return { kind: "changed", change: request.change, error: failed };
};

const ADDED = {
  tables: [{ kind: "chain", table: 7, path: "/tree", layers: [] }],
  names: [{ name: "a", chain: 7 }],
  mtimeMs: 5,
} as const;

test("FuseWorkers.add() tells every thread, and waits for the last", async () => {
  const heard: FuseWorkerRequest[] = [];
  const slow = Promise.withResolvers<void>();
  const late = changing(heard, (request) => {
    if (request.kind !== "add") return done(request);
    slow.promise.then(() => say(late, done(request)));
    return undefined;
  });
  await using workers = await FuseWorkers.start(
    options([changing(heard, (request) => done(request)), late]),
  );
  let isDone = false;
  const adding = workers.add(ADDED).then(() => {
    isDone = true;
  });
  await Bun.sleep(1);
  expect(isDone).toBe(false);
  slow.resolve();
  await adding;
  expect(heard.filter(({ kind }) => kind === "add")).toMatchObject([ADDED, ADDED]);
});

test("FuseWorkers.add() takes back in all threads what one of them cannot", async () => {
  const [good, bad]: [FuseWorkerRequest[], FuseWorkerRequest[]] = [[], []];
  await using workers = await FuseWorkers.start(
    options([
      changing(good, (request) => done(request)),
      changing(bad, (request) =>
        done(request, request.kind === "add" ? new Error("no memory") : undefined),
      ),
    ]),
  );
  expect(await rejectionOf(workers.add(ADDED))).toMatchObject({ message: "no memory" });
  expect(good.map(({ kind }) => kind)).toEqual(["start", "add", "remove"]);
  expect(good.at(-1)).toMatchObject({ names: ["a"], tables: [7] });
  expect(bad.at(-1)).toMatchObject({ kind: "remove" });
});

test("FuseWorkers.remove() rejects when a thread ends before it has answered", async () => {
  await using workers = await FuseWorkers.start(
    options([
      changing([], (request) => (request.kind === "stop" ? done(request) : { kind: "unmounted" })),
    ]),
  );
  const gone = { names: ["a"], tables: [7], mtimeMs: 6 };
  expect(await rejectionOf(workers.remove(gone))).toMatchObject({ kind: "failed-precondition" });
  expect(await rejectionOf(workers.remove(gone))).toMatchObject({ kind: "failed-precondition" });
  await workers.unmounted;
});

test("FuseWorkers.forget() asks a thread that need not serve meanwhile", async () => {
  const [first, second]: [FuseWorkerRequest[], FuseWorkerRequest[]] = [[], []];
  await using workers = await FuseWorkers.start(
    options([
      changing(first, (request) => done(request)),
      changing(second, (request) => done(request)),
    ]),
  );
  await workers.forget(1, "a");
  expect(first.map(({ kind }) => kind)).toEqual(["start"]);
  expect(second.at(-1)).toMatchObject({ kind: "forget", parent: 1, name: "a" });
});
