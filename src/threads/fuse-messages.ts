import type { LayerHandle } from "../cache/layer-files.ts";
import type { Damage } from "../cache/layer-reader.ts";
import type { FuseNegotiated } from "../fuse/init.ts";
import type { IdMappings } from "../lazyfs/id-map.ts";
import type { MountFeatures } from "../lazyfs/mount-features.ts";
import type { LogFields, LogLevel } from "../observability/log.ts";
import type { ErrorMessage } from "./ztoc-messages.ts";

/** One table of a mount: by its number, which is the upper half of the ids of the nodes in it. */
export type MountTable =
  | {
      readonly kind: "chain";
      readonly table: number;
      /** The file of the merged tree. */
      readonly path: string;
      /** Table numbers of its layers, bottom first. */
      readonly layers: readonly number[];
    }
  | {
      readonly kind: "layer";
      readonly table: number;
      /** The file of its inodes. */
      readonly inodes: string;
      readonly files: LayerHandle;
    };

export interface FuseWorkerStart {
  readonly kind: "start";
  /** Of the connection, non-blocking; all threads read it. */
  readonly fd: number;
  /** An eventfd: written to, the thread looks at its messages. */
  readonly wakeFd: number;
  /** An eventfd by which threads call those that rest. */
  readonly helpFd: number;
  /** Whether this one rests until it is called. */
  readonly rests: boolean;
  readonly negotiated: FuseNegotiated;
  readonly tables: readonly MountTable[];
  /** What the mount's root shows. */
  readonly root: MountRoot;
  /** Default: what the tables have. */
  readonly features: MountFeatures | undefined;
  readonly ids: IdMappings | undefined;
  /** Where requests stand until they are answered, for whoever serves the mount next. */
  readonly journal: ThreadJournal | undefined;
  /**
   * One 32-bit number: messages sent to this thread behind this one, raised before each. A thread
   * serves only when it has handled them all.
   */
  readonly sent: SharedArrayBuffer;
  /** Two numbers of 64 bits that this thread alone writes: reads that it has answered from the cache, their bytes. */
  readonly counts: SharedArrayBuffer;
}

/** A file that is a journal of requests (fuse/request-journal.ts), and this thread's part in it. */
export interface ThreadJournal {
  /** Undefined where there is no room for it. */
  readonly path: string | undefined;
  /** From 0. */
  readonly thread: number;
  /** Requests that the server before has left; this thread answers them first. */
  readonly left: readonly Uint8Array[];
}

/** One chain, by its number; or a directory of chains, which may begin with some. */
export type MountRoot =
  | { readonly kind: "chain"; readonly chain: number }
  | {
      readonly kind: "directory";
      readonly mtimeMs: number;
      readonly names?: readonly ChainName[] | undefined;
    };

/** Shows more in a directory of chains. */
export interface FuseWorkerAdd {
  readonly kind: "add";
  /** Names the change in its answer. */
  readonly change: number;
  readonly tables: readonly MountTable[];
  readonly names: readonly ChainName[];
  readonly mtimeMs: number;
}

export interface ChainName {
  readonly name: string;
  readonly chain: number;
}

/** Shows less. What is not there is passed over. */
export interface FuseWorkerRemove {
  readonly kind: "remove";
  readonly change: number;
  readonly names: readonly string[];
  /** Numbers. */
  readonly tables: readonly number[];
  readonly mtimeMs: number;
}

/** Has the kernel forget a name, which takes as long as there are nodes below it that it knows. */
export interface FuseWorkerForget {
  readonly kind: "forget";
  readonly change: number;
  /** Node of the directory. */
  readonly parent: number;
  readonly name: string;
}

export type FuseWorkerChange = FuseWorkerAdd | FuseWorkerRemove | FuseWorkerForget;

/** A thread that serves a mount hears of nothing while it waits for the kernel: write its eventfd behind a message. */
export type FuseWorkerRequest = FuseWorkerStart | FuseWorkerChange | { readonly kind: "stop" };

/** A read of bytes that are not in the cache: whoever gets this answers it, on the same descriptor. */
export interface ReadMiss {
  readonly kind: "miss";
  readonly fd: number;
  readonly unique: bigint;
  readonly layer: number;
  readonly entry: number;
  /** Within the file. */
  readonly offset: number;
  readonly size: number;
  /** In the journal, where there is one: free once it is answered. */
  readonly slot?: number;
}

export type FuseWorkerAnswer =
  | { readonly kind: "ready" }
  | ReadMiss
  | { readonly kind: "interrupt"; readonly unique: bigint }
  /** What the thread has to say in the log; an error among the fields comes apart. */
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: LogFields;
      readonly error: ErrorMessage | undefined;
    }
  | { readonly kind: "damaged"; readonly layer: number; readonly damage: Damage }
  /** It is made; or, for want of something, not: nothing of it is there then. */
  | {
      readonly kind: "changed";
      readonly change: number;
      readonly error: ErrorMessage | undefined;
    }
  | { readonly kind: "unmounted" }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly error: ErrorMessage };
