import { LayerFiles } from "../cache/layer-files.ts";
import { DAMAGED, LayerReader } from "../cache/layer-reader.ts";
import { mapTable } from "../cache/table-file.ts";
import { FuseChannel } from "../fuse/fuse-channel.ts";
import {
  LazyFileSystem,
  type MountedChain,
  type MountedLayer,
} from "../lazyfs/lazy-file-system.ts";
import { createLogger } from "../observability/log.ts";
import { RepeatGate } from "../observability/repeat-gate.ts";
import { ChainTable } from "../tree/chain-table.ts";
import { LayerTable } from "../tree/layer-table.ts";
import type { FuseWorkerAnswer, FuseWorkerRequest, FuseWorkerStart } from "./fuse-messages.ts";
import { errorMessageOf } from "./ztoc-messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<FuseWorkerRequest>) => void) | null;
  postMessage(message: FuseWorkerAnswer): void;
};

/** The main thread has opened these very files, which nobody else can write to. */
const UNVERIFIED = { verify: false };
const CHECKED = { isChecked: true };

let channel: FuseChannel | undefined;
let isStopped = false;
/** Closed at the end: descriptors are the process's, and outlive a thread that is terminated. */
const opened = new DisposableStack();

const gate = new RepeatGate();
const log = createLogger({
  sink: ({ level, message, fields: { error, ...fields } }) => {
    // A reader that tries again and again must not fill the disk.
    if (!gate.lets(message)) return;
    const cause = error === undefined ? undefined : errorMessageOf(error);
    self.postMessage({ kind: "log", level, message, fields, error: cause });
  },
});

function open(start: FuseWorkerStart): FuseChannel {
  const { fd, wakeFd, helpFd, rests, negotiated, tables, rootChain } = start;
  const chains = new Map<number, MountedChain>();
  const layers = new Map<number, MountedLayer>();
  const readers = new Map<number, LayerReader>();
  for (const table of tables) {
    if (table.kind === "chain") {
      const chain = ChainTable.open(mapTable(table.path, UNVERIFIED), CHECKED);
      chains.set(table.table, { table: chain, layers: table.layers });
    } else {
      const reader = new LayerReader(opened.use(LayerFiles.open(table.files)));
      readers.set(table.table, reader);
      const inodes = LayerTable.open(mapTable(table.inodes, UNVERIFIED), CHECKED);
      layers.set(table.table, { table: inodes, reader });
    }
  }
  const fileSystem = new LazyFileSystem({
    chains,
    layers,
    rootChain,
    onMiss: ({ unique }, { layer, entry, offset, size }, result) => {
      const damage = result === DAMAGED ? readers.get(layer)?.damaged : undefined;
      if (damage !== undefined) self.postMessage({ kind: "damaged", layer, damage });
      self.postMessage({ kind: "miss", fd, unique, layer, entry, offset, size });
    },
    onInterrupt: (unique) => self.postMessage({ kind: "interrupt", unique }),
  });
  const help = { fd: helpFd, rests };
  return new FuseChannel({ fd, wakeFd, negotiated, fileSystem, help, log });
}

/** Serves until there is a message: it was sent before we were woken, and whoever handles it decides. */
function serve(): void {
  if (channel === undefined || isStopped) return;
  try {
    if (channel.serve() === "unmounted") end({ kind: "unmounted" });
  } catch (error) {
    end({ kind: "failed", error: errorMessageOf(error) });
  }
}

function end(last: FuseWorkerAnswer): void {
  isStopped = true;
  channel?.[Symbol.dispose]();
  channel = undefined;
  opened.dispose();
  self.postMessage(last);
}

self.onmessage = ({ data }) => {
  if (data.kind === "stop") {
    end({ kind: "stopped" });
    return;
  }
  try {
    channel = open(data);
    self.postMessage({ kind: "ready" });
    setImmediate(serve);
  } catch (error) {
    end({ kind: "failed", error: errorMessageOf(error) });
  }
};
