import { access, constants, open, realpath, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, resolve } from "node:path";
import type { WaitOptions } from "../../async/wait-options.ts";
import { SociError } from "../../errors.ts";
import { DurableFile } from "../../oci/durable-file.ts";
import { isErrno } from "../../oci/fs-errors.ts";

/** Where --output says that the result goes. */
export interface OutputFile {
  /** For temporary files of about the result's size. */
  readonly directory: string;
  /** Of a file that is there already: what tells it from every other one. */
  readonly identity: string | undefined;
  /** Makes the file of these bytes, mode 0644: whole and on disk, or not at all. */
  write(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options?: WaitOptions,
  ): Promise<void>;
}

/**
 * Looks at the place of an output file before the work begins; nothing is made yet. A file that is
 * there is replaced; what is no regular file (a pipe, /dev/null) is written to instead.
 * @throws failed-precondition, not-found
 */
export async function openOutputFile(path: string, cwd: string): Promise<OutputFile> {
  const full = resolve(cwd, path);
  const stats = await statIfThere(full, path);
  if (stats?.isDirectory() === true || path.endsWith("/")) {
    throw new SociError(
      "failed-precondition",
      `Cannot write "${path}": it is a directory, want a file's name`,
    );
  }
  const identity = stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
  if (stats !== undefined && !stats.isFile()) {
    return {
      directory: tmpdir(),
      identity,
      write: (chunks, options) => explain(path, () => writeThrough(full, chunks, options)),
    };
  }
  // Where the name is a symbolic link, it stays one.
  const target = stats === undefined ? full : await realpath(full);
  const directory = dirname(target);
  await checkDirectory(directory, path);
  return {
    directory,
    identity,
    write: (chunks, options) => explain(path, () => writeDurable(target, chunks, options)),
  };
}

async function writeDurable(
  target: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { signal }: WaitOptions = {},
): Promise<void> {
  await using file = await DurableFile.create({ ingest: dirname(target), mode: 0o644 });
  for await (const chunk of chunks) {
    signal?.throwIfAborted();
    await file.write(chunk);
  }
  signal?.throwIfAborted();
  await file.commit(target);
}

async function writeThrough(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { signal }: WaitOptions = {},
): Promise<void> {
  const handle = await open(path, "w");
  try {
    for await (const chunk of chunks) {
      signal?.throwIfAborted();
      for (let done = 0; done < chunk.length;) {
        const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, null);
        done += bytesWritten;
      }
    }
  } finally {
    await handle.close();
  }
}

async function statIfThere(full: string, path: string) {
  try {
    return await stat(full);
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) return undefined;
    throw new SociError("failed-precondition", `Cannot write "${path}"`, { cause });
  }
}

async function checkDirectory(directory: string, path: string): Promise<void> {
  try {
    await access(directory, constants.W_OK | constants.X_OK);
  } catch (cause) {
    if (isErrno(cause, "ENOENT", "ENOTDIR")) {
      throw new SociError(
        "not-found",
        `Cannot write "${path}": there is no directory "${directory}"`,
        { cause },
      );
    }
    throw new SociError("failed-precondition", `Cannot write "${path}"`, { cause });
  }
}

/** Names the file where only the system has said what went wrong, as on a full disk. */
async function explain(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof Error && "syscall" in cause) {
      throw new SociError("failed-precondition", `Cannot write "${path}"`, { cause });
    }
    throw cause;
  }
}
