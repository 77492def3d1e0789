import { isAbsolute, join } from "node:path";
import { SociError } from "../errors.ts";

export interface StateRootOptions {
  /** Effective user id. */
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Root's state directory. */
export const SYSTEM_STATE_ROOT = "/var/lib/sociable";

/**
 * Where state lives when --root does not say: /var/lib/sociable for root, else
 * $XDG_DATA_HOME/sociable, else ~/.local/share/sociable.
 * @throws failed-precondition when there is no home directory to put it in
 */
export function defaultStateRoot({ uid, env }: StateRootOptions): string {
  if (uid === 0) return SYSTEM_STATE_ROOT;
  const dataHome = env["XDG_DATA_HOME"];
  // https://specifications.freedesktop.org/basedir-spec/latest: a relative path is to be ignored.
  if (dataHome !== undefined && isAbsolute(dataHome)) return join(dataHome, "sociable");
  const home = env["HOME"];
  if (home !== undefined && isAbsolute(home)) return join(home, ".local/share/sociable");
  throw new SociError(
    "failed-precondition",
    "Cannot choose a state directory: neither XDG_DATA_HOME nor HOME is an absolute path",
    { hint: "name one with --root DIR" },
  );
}
