import { DAMAGED } from "../cache/layer-reader.ts";
import { FuseChannel } from "../fuse/fuse-channel.ts";
import { notifyInvalEntry } from "../fuse/replies.ts";
import { RequestJournal } from "../fuse/request-journal.ts";
import { LazyFileSystem } from "../lazyfs/lazy-file-system.ts";
import { createLogger } from "../observability/log.ts";
import { RepeatGate } from "../observability/repeat-gate.ts";
import type {
  ChainName,
  FuseWorkerAnswer,
  FuseWorkerChange,
  FuseWorkerRequest,
  FuseWorkerStart,
} from "./fuse-messages.ts";
import { ThreadTables } from "./thread-tables.ts";
import { errorMessageOf } from "./ztoc-messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<FuseWorkerRequest>) => void) | null;
  postMessage(message: FuseWorkerAnswer): void;
};

interface Serving {
  readonly channel: FuseChannel;
  readonly fd: number;
  readonly fileSystem: LazyFileSystem;
  /** Messages sent to this thread. */
  readonly sent: Int32Array;
}

const REMOVED_TO_COLLECT = 64;

let serving: Serving | undefined;
let handled = 0;
let isScheduled = false;
/** Tables, since garbage was collected. */
let removed = 0;
const tables = new ThreadTables();

const gate = new RepeatGate();
const log = createLogger({
  sink: ({ level, message, fields: { error, ...fields } }) => {
    // A reader that tries again and again must not fill the disk.
    if (!gate.lets(message)) return;
    const cause = error === undefined ? undefined : errorMessageOf(error);
    // Loggers write no record that ends the process.
    const said = level === "fatal" ? "error" : level;
    self.postMessage({ kind: "log", level: said, message, fields, error: cause });
  },
});

function open(start: FuseWorkerStart): Serving {
  const { fd, wakeFd, helpFd, rests, negotiated, root, features, ids } = start;
  const sent = new Int32Array(start.sent);
  const journal =
    start.journal?.path === undefined
      ? undefined
      : new RequestJournal(Bun.mmap(start.journal.path), start.journal.thread);
  const fileSystem = new LazyFileSystem({
    ...tables.open(start.tables),
    ...(root.kind === "chain"
      ? { rootChain: root.chain }
      : { rootChain: undefined, mtimeMs: root.mtimeMs, names: namesOf(root.names ?? []) }),
    features,
    ids,
    counts: new Float64Array(start.counts),
    onMiss: ({ unique }, { layer, entry, offset, size }, result) => {
      const damage = result === DAMAGED ? tables.readerOf(layer)?.damaged : undefined;
      if (damage !== undefined) self.postMessage({ kind: "damaged", layer, damage });
      const miss = { kind: "miss", fd, unique, layer, entry, offset, size } as const;
      // Before anybody answers it.
      if (journal === undefined) self.postMessage(miss);
      else self.postMessage({ ...miss, slot: journal.park(channel.frame) });
    },
    onInterrupt: (unique) => self.postMessage({ kind: "interrupt", unique }),
  });
  const channel = new FuseChannel({
    request: journal?.request,
    fd,
    wakeFd,
    negotiated,
    fileSystem,
    help: { fd: helpFd, rests },
    isCalled: () => Atomics.load(sent, 0) !== handled,
    log,
  });
  for (const frame of start.journal?.left ?? []) channel.replay(frame);
  return { channel, fd, fileSystem, sent };
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(serve);
}

/** Serves until there is a message; whoever handles the last of them goes on. */
function serve(): void {
  isScheduled = false;
  if (serving === undefined) return;
  const { channel, sent } = serving;
  try {
    while (Atomics.load(sent, 0) === handled) {
      if (channel.serve() === "unmounted") {
        end({ kind: "unmounted" });
        return;
      }
    }
  } catch (error) {
    end({ kind: "failed", error: errorMessageOf(error) });
  }
}

function change(request: FuseWorkerChange, { fileSystem, fd }: Serving): void {
  if (request.kind === "forget") {
    notifyInvalEntry(fd, request.parent, Buffer.from(request.name));
    return;
  }
  if (request.kind === "remove") {
    fileSystem.remove(request, request.mtimeMs);
    tables.close(request.tables);
    removed += request.tables.length;
    if (removed < REMOVED_TO_COLLECT) return;
    removed = 0;
    // What was mapped goes when nobody refers to it; nothing else here makes garbage for a long time.
    Bun.gc(false);
    return;
  }
  const opened = tables.open(request.tables);
  try {
    fileSystem.add({ ...opened, names: namesOf(request.names) }, request.mtimeMs);
  } catch (error) {
    tables.close(opened.layers.keys());
    throw error;
  }
}

function namesOf(names: readonly ChainName[]): ReadonlyMap<string, number> {
  return new Map(names.map(({ name, chain }) => [name, chain]));
}

function end(last: FuseWorkerAnswer): void {
  serving?.channel[Symbol.dispose]();
  serving = undefined;
  tables[Symbol.dispose]();
  self.postMessage(last);
}

function start(request: FuseWorkerStart): void {
  try {
    serving = open(request);
    self.postMessage({ kind: "ready" });
  } catch (error) {
    end({ kind: "failed", error: errorMessageOf(error) });
  }
}

self.onmessage = ({ data }) => {
  if (data.kind === "start") {
    start(data);
    schedule();
    return;
  }
  handled += 1;
  if (data.kind === "stop") {
    end({ kind: "stopped" });
    return;
  }
  // Whoever ended has said so; that answers the change.
  if (serving === undefined) return;
  let error: unknown;
  try {
    change(data, serving);
  } catch (thrown) {
    error = thrown;
  }
  const { change: number } = data;
  const failed = error === undefined ? undefined : errorMessageOf(error);
  self.postMessage({ kind: "changed", change: number, error: failed });
  schedule();
};
