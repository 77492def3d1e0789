import { join } from "node:path";

/** What a keeper has in the state root that it is for. */
export interface KeeperPaths {
  readonly socket: string;
  /** Locked as long as there is one; holds its process id. */
  readonly lock: string;
  readonly log: string;
}

export function keeperPaths(root: string): KeeperPaths {
  return {
    socket: join(root, "keeper.sock"),
    lock: join(root, "keeper.lock"),
    log: join(root, "log", "keeper.log"),
  };
}
