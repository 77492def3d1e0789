import { readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { resolve } from "node:path";
import { abortable } from "../../async/abortable.ts";
import { SociError } from "../../errors.ts";
import { isErrno } from "../../oci/fs-errors.ts";
import type { CliIo } from "../cli-io.ts";

/** A layer's blob, read once from front to back. */
export interface LayerInput extends AsyncDisposable {
  /** For messages: the file in quotes, or standard input. */
  readonly name: string;
  /** Bytes, where they are known before the end. */
  readonly size: number | undefined;
  /** Of a file: what tells it from every other one. */
  readonly identity: string | undefined;
  /** All bytes. A chunk's memory is used again for the next one. */
  chunks(): AsyncIterable<Uint8Array>;
}

const BUFFER_BYTES = 256 * 1024;

/**
 * Opens a file of any kind, or standard input for `-`. A regular file is read by plain synchronous
 * calls, the fastest there are; from a pipe bytes may never come, so that reading it can be aborted.
 * @throws not-found, failed-precondition
 */
export async function openLayerInput(
  path: string,
  { stdin, cwd, signal }: Pick<CliIo, "stdin" | "cwd" | "signal">,
): Promise<LayerInput> {
  if (path === "-") {
    return {
      name: "standard input",
      size: undefined,
      identity: undefined,
      chunks: () => stdin,
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const handle = await unlessAborted(openForReading(resolve(cwd, path), path), signal);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => handle.close());
  const stats = await handle.stat();
  if (stats.isDirectory()) {
    throw new SociError(
      "failed-precondition",
      `Cannot read "${path}": it is a directory, want a layer's file`,
    );
  }
  const owned = cleanup.move();
  return {
    name: `"${path}"`,
    size: stats.isFile() ? stats.size : undefined,
    identity: `${stats.dev}:${stats.ino}`,
    chunks: () => (stats.isFile() ? readFile(handle) : readPipe(handle, signal)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Opening a named pipe waits until somebody writes to it. */
async function unlessAborted(
  opening: Promise<FileHandle>,
  signal: AbortSignal,
): Promise<FileHandle> {
  try {
    return await abortable(opening, signal);
  } catch (error) {
    // Where it opens after all, nobody wants it; where it fails, that is what is thrown here.
    opening.then((late) => late.close()).catch(() => undefined);
    throw error;
  }
}

async function openForReading(path: string, name: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (cause) {
    if (isErrno(cause, "ENOENT", "ENOTDIR")) {
      throw new SociError("not-found", `Cannot open "${name}": there is no such file`, {
        cause,
      });
    }
    throw new SociError("failed-precondition", `Cannot open "${name}"`, { cause });
  }
}

async function* readFile({ fd }: FileHandle): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) {
    const length = readSync(fd, buffer, 0, buffer.length, null);
    if (length === 0) return;
    yield buffer.subarray(0, length);
  }
}

async function* readPipe(handle: FileHandle, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) {
    const { bytesRead } = await abortable(handle.read(buffer, 0, buffer.length, null), signal);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}
