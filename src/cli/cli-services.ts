/** What only the process entry can make (threads), handed down to the commands. */
export interface CliServices {
  /** Starts a thread that builds zTOCs; whoever calls it terminates it. */
  readonly spawnZtocWorker: () => Worker;
}
