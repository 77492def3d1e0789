import { closeSync, copyFileSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { isErrno } from "../oci/fs-errors.ts";
import { ownProcess } from "../oci/process-id.ts";
import { ingestDirectory } from "./cache-paths.ts";
import { mapTable } from "./table-file.ts";

/** A table for as long as it is open. */
export interface PrivateTable extends Disposable {
  /** For mapTable(), in every thread of this process. */
  readonly path: string;
}

/**
 * A copy of a table file that has no name: nobody can cut or overwrite it under whoever has it mapped,
 * which would be the end of the process (SIGBUS), or wrong answers. It takes room on disk and in the page
 * cache, not in our memory. Where there is no room for it the table itself is taken.
 * @throws not-found, data-loss
 */
export async function openPrivateTable(path: string, cacheRoot: string): Promise<PrivateTable> {
  const copy = join(ingestDirectory(cacheRoot), `${await ownProcess()}.${randomUUID()}`);
  let fd: number;
  try {
    copyFileSync(path, copy);
    fd = openSync(copy, "r+");
  } catch (error) {
    if (!isErrno(error, "ENOSPC", "EDQUOT")) {
      // Says in its own words what is wrong with it.
      mapTable(path);
      throw error;
    }
    return { path, [Symbol.dispose]: () => undefined };
  } finally {
    await rm(copy, { force: true });
  }
  let isOpen = true;
  return {
    path: `/proc/self/fd/${fd}`,
    [Symbol.dispose]: () => {
      if (isOpen) closeSync(fd);
      isOpen = false;
    },
  };
}
