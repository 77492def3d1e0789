import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../oci/fs-errors.ts";
import { isRunning, parseProcessId } from "../oci/process-id.ts";
import { ingestDirectory } from "./cache-paths.ts";

/** Removes what processes that run no more were making, or removing, when they ended. */
export async function sweepIngest(cacheRoot: string): Promise<void> {
  const ingest = ingestDirectory(cacheRoot);
  for (const name of await listIfThere(ingest)) {
    const owner = parseProcessId(name);
    if (owner !== undefined && (await isRunning(owner)) === false) {
      await rm(join(ingest, name), { recursive: true, force: true });
    }
  }
}

async function listIfThere(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}
