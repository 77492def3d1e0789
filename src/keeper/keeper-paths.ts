import { join } from "node:path";

/** What a keeper has in a state root. */
export interface KeeperPaths {
  readonly socket: string;
  /** Locked as long as there is one; holds its process id. */
  readonly lock: string;
}

/** Of the keeper of the daemon of a state root; with a name, of one of the mounts that are no daemon's. */
export function keeperPaths(root: string, name?: string): KeeperPaths {
  if (name === undefined) {
    return { socket: join(root, "keeper.sock"), lock: join(root, "keeper.lock") };
  }
  const place = join(namedKeepersOf(root), name);
  return { socket: `${place}.sock`, lock: `${place}.lock` };
}

/** Where those are that have a name. */
export function namedKeepersOf(root: string): string {
  return join(root, "keepers");
}

/** Of the daemon's keeper. */
export function keeperLogOf(root: string): string {
  return join(root, "log", "keeper.log");
}
