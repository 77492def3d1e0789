import type { FuseWorkerPort } from "../threads/fuse-workers.ts";
import type { InflatePort } from "../threads/inflate-pool.ts";
import type { IngestWorkerAnswer, IngestWorkerRequest } from "../threads/ingest-messages.ts";
import type { TablesAnswer, TablesRequest } from "../threads/tables-messages.ts";
import type { WorkerPort } from "../threads/worker-conversation.ts";

/** Starts the threads that a mount needs; whoever calls one of these terminates what it gave. */
export interface MountThreads {
  readonly spawnFuse: () => FuseWorkerPort;
  readonly spawnInflate: () => InflatePort;
  readonly spawnTables: () => WorkerPort<TablesRequest, TablesAnswer>;
  readonly spawnIngest: () => WorkerPort<IngestWorkerRequest, IngestWorkerAnswer>;
}
