import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SociError } from "../errors.ts";
import { isErrno } from "./fs-errors.ts";
import { isRunning, ownProcess, parseProcessId } from "./process-id.ts";

export interface DurableFileOptions {
  /** Directory on the same file system for the unfinished file; made when missing. */
  readonly ingest: string;
  /** Permission bits of the finished file. */
  readonly mode?: number;
}

/**
 * A file that appears whole or not at all, also after kill -9 or a power cut: written beside, synced,
 * renamed, and its directory synced. Dispose without commit() removes what was written.
 */
export class DurableFile implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #mode: number;
  #open = true;
  #renamed = false;

  private constructor(handle: FileHandle, path: string, mode: number) {
    this.#handle = handle;
    this.#path = path;
    this.#mode = mode;
  }

  static async create({ ingest, mode = 0o644 }: DurableFileOptions): Promise<DurableFile> {
    const path = join(ingest, `${await ownProcess()}.${randomUUID()}`);
    return new DurableFile(await openNew(path, ingest), path, mode);
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.length;) {
      const { bytesWritten } = await this.#handle.write(chunk, done, chunk.length - done, null);
      done += bytesWritten;
    }
  }

  /** Makes it `target`, replacing what is there. Nothing is written after this. */
  async commit(target: string): Promise<void> {
    await this.#handle.chmod(this.#mode);
    await this.#handle.sync();
    await this.#close();
    await rename(this.#path, target);
    this.#renamed = true;
    await syncDirectory(dirname(target));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    if (!this.#renamed) {
      this.#renamed = true;
      await unlinkIfThere(this.#path);
    }
  }

  async #close(): Promise<void> {
    if (this.#open) {
      this.#open = false;
      await this.#handle.close();
    }
  }
}

/** Makes renames in a directory last. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes a file; whether it was there. */
export async function unlinkIfThere(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) {
      return false;
    }
    throw error;
  }
}

/** Removes the unfinished files of processes that run no more. */
export async function sweepIngest(ingest: string): Promise<void> {
  for (const name of await listIfThere(ingest)) {
    const owner = parseProcessId(name);
    if (owner !== undefined && (await isRunning(owner)) === false) {
      await unlinkIfThere(join(ingest, name));
    }
  }
}

async function listIfThere(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) {
      return [];
    }
    throw error;
  }
}

async function openNew(path: string, ingest: string): Promise<FileHandle> {
  try {
    return await open(path, "wx", 0o600);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) {
      throw new SociError("failed-precondition", `Cannot write in "${ingest}"`, { cause: error });
    }
  }
  await mkdir(ingest, { recursive: true, mode: 0o755 });
  return await open(path, "wx", 0o600);
}
