import type { WorkerPort } from "../threads/worker-conversation.ts";
import type { ZtocWorkerAnswer, ZtocWorkerRequest } from "../threads/ztoc-messages.ts";

/** What only the process entry can make (threads), handed down to the commands. */
export interface CliServices {
  /**
   * Starts a thread that builds zTOCs; whoever calls it terminates it. Absent where there are no
   * threads: commands then do the same work in this one.
   */
  readonly spawnZtocWorker?: () => WorkerPort<ZtocWorkerRequest, ZtocWorkerAnswer>;
}
