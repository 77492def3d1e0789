import { expect, test } from "bun:test";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import type { FuseWorkerAnswer, FuseWorkerRequest } from "../../src/threads/fuse-messages.ts";
import { type FuseWorkerPort, FuseWorkers } from "../../src/threads/fuse-workers.ts";
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
