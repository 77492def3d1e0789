import { closeSync, constants, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { systemFailure } from "./system-failure.ts";

const { O_CREAT, O_EXCL, O_RDWR, O_NOFOLLOW } = constants;

/**
 * Makes `path` a new file in one step, replacing what is there; returns its descriptor, open for
 * reading and writing. For one process at a time. Throws what the system calls throw.
 */
export function replaceFile(path: string, write: (fd: number) => void): number {
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true });
  const fd = openSync(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    write(fd);
    renameSync(temporary, path);
    return fd;
  } catch (error) {
    closeSync(fd);
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Writes all bytes at a place of a file. */
export function writeAllAt(fd: number, bytes: Uint8Array, offset = 0): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
  }
}

/** Makes a file of mode 0600 of chunks, where none is. @throws failed-precondition */
export function createFile(path: string, chunks: Iterable<Uint8Array>): void {
  try {
    const fd = openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      let offset = 0;
      for (const chunk of chunks) {
        writeAllAt(fd, chunk, offset);
        offset += chunk.length;
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw systemFailure(`write "${path}"`, error);
  }
}
