import { open, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../oci/fs-errors.ts";
import { syncDirectory } from "../oci/durable-file.ts";
import { bootIdText } from "./boot-id.ts";
import { createFile } from "./new-file.ts";

// Waiting for the disk would make the first mount of an image slower by much. So a new layer has a
// mark that names the boot: as long as the machine runs its files are what was written. Once they are
// on disk the mark goes. A mark of another boot says that they may not be.

const PREFIX = "unsynced.";

/** Marks a layer directory whose files are not on disk yet. */
export function markUnsynced(directory: string): void {
  createFile(join(directory, PREFIX + bootIdText()), []);
}

/** Whether the files of a layer directory are as written, and whether they are on disk. */
export async function syncStateOf(directory: string): Promise<"synced" | "unsynced" | "unsafe"> {
  const marks = (await readdir(directory)).filter((name) => name.startsWith(PREFIX));
  if (marks.length === 0) return "synced";
  return marks.every((name) => name === PREFIX + bootIdText()) ? "unsynced" : "unsafe";
}

/** Brings a layer's files to disk and takes the mark away; nothing when the layer is gone. */
export async function syncLayer(directory: string): Promise<void> {
  try {
    for (const name of await readdir(directory)) {
      if (!name.startsWith(PREFIX)) await syncFile(join(directory, name));
    }
    await syncDirectory(directory);
    await syncDirectory(join(directory, ".."));
    await unlink(join(directory, PREFIX + bootIdText()));
  } catch (error) {
    // Evicted meanwhile, or another process was faster.
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

async function syncFile(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}
