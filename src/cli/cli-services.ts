import type { MountThreads } from "../daemon/mount-threads.ts";
import type { WorkerPort } from "../threads/worker-conversation.ts";
import type { ZtocWorkerAnswer, ZtocWorkerRequest } from "../threads/ztoc-messages.ts";

/** What only the process entry can make (threads), handed down to the commands. */
export interface CliServices {
  /**
   * Starts a thread that builds zTOCs; whoever calls it terminates it. Absent where there are no
   * threads: commands then do the same work in this one.
   */
  readonly spawnZtocWorker?: () => WorkerPort<ZtocWorkerRequest, ZtocWorkerAnswer>;
  /** Starts the threads of a mount; absent where there are none: nothing can be mounted then. */
  readonly mountThreads?: MountThreads;
  /** The program and what goes before its command line, to start it again; absent in tests. */
  readonly selfCommand?: readonly string[];
}
