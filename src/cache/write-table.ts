import { mkdir, rename } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { unlinkIfThere } from "../oci/durable-file.ts";
import { ownProcess } from "../oci/process-id.ts";
import { ingestDirectory } from "./cache-paths.ts";
import { createFile } from "./new-file.ts";
import { tableTrailer } from "./table-file.ts";

export interface WriteTableOptions {
  /** Unfinished files are below it, and swept with it. */
  readonly cacheRoot: string;
}

/**
 * Writes a table file that appears whole or not at all. It is not synced: after a power cut it may be
 * found damaged, which mapTable() tells, and it is made again.
 */
export async function writeTable(
  path: string,
  content: Uint8Array,
  { cacheRoot }: WriteTableOptions,
): Promise<void> {
  const ingest = ingestDirectory(cacheRoot);
  await mkdir(ingest, { recursive: true, mode: 0o700 });
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = join(ingest, `${await ownProcess()}.${randomUUID()}`);
  try {
    createFile(temporary, [content, tableTrailer(content)]);
    await rename(temporary, path);
  } finally {
    await unlinkIfThere(temporary);
  }
}
