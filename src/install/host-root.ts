import { realpathSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { SociError } from "../errors.ts";
import { isErrno } from "../oci/fs-errors.ts";

/** The host's root directory: `/`, or another one below which the host's files lie. */
export class HostRoot {
  /** Absolute. */
  readonly directory: string;

  constructor(directory: string = "/") {
    this.directory = resolve(directory);
  }

  /** Whether it is this machine's own. */
  get isOwn(): boolean {
    return this.directory === "/";
  }

  /**
   * Where a path of the host lies here. The directory it is in is followed through symbolic links.
   * @throws failed-precondition when a link leads out of the root directory
   */
  locate(path: string): string {
    const place = join(this.directory, path);
    if (this.isOwn) return place;
    const base = realpathSync(this.directory);
    const real = realParent(dirname(place));
    const way = relative(base, real);
    if (way === ".." || way.startsWith("../")) {
      throw new SociError(
        "failed-precondition",
        `Cannot use "${place}": a symbolic link leads out of "${this.directory}"`,
      );
    }
    return place;
  }
}

/** The real path of the nearest directory that is there. */
function realParent(directory: string): string {
  try {
    return realpathSync(directory);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    return realParent(dirname(directory));
  }
}
