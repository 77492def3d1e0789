import type { FileHandle } from "node:fs/promises";
import { SociError } from "../errors.ts";
import type { BlobRangeOptions } from "./image-source.ts";

/** Counts what is read, for SourceStats. */
export class ReadCounter {
  #requests = 0;
  #bytes = 0;

  get stats(): { readonly requests: number; readonly bytes: number } {
    return { requests: this.#requests, bytes: this.#bytes };
  }

  /** A read has begun. */
  request(): void {
    this.#requests += 1;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }
}

/** A run of bytes inside an open file. */
export interface FileSlice {
  readonly handle: FileHandle;
  /** Of the file, and of the member in it, for messages. */
  readonly name: string;
  /** Where the run starts in the file. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
}

const CHUNK_BYTES = 256 * 1024;

/**
 * Bytes [start, end) of a slice. One piece is read ahead, so that the disk works while the reader
 * does. The handle must stay open until the reading has ended. @throws data-loss when the file is
 * shorter
 */
export async function* readSlice(
  slice: FileSlice,
  { start, end, signal }: BlobRangeOptions,
  counter: ReadCounter,
): AsyncGenerator<Uint8Array> {
  if (start < 0 || start > end || end > slice.size) {
    throw new SociError(
      "data-loss",
      `Cannot read bytes ${start} to ${end} of ${slice.name}: it has ${slice.size} bytes`,
    );
  }
  counter.request();
  let ahead = start < end ? readChunk(slice, start, end) : undefined;
  try {
    for (let at = start; ahead !== undefined;) {
      const chunk = await ahead;
      signal?.throwIfAborted();
      at += chunk.length;
      counter.add(chunk.length);
      ahead = at < end ? readChunk(slice, at, end) : undefined;
      // Its failure is thrown when its turn comes; until then nobody waits for it.
      ahead?.catch(() => undefined);
      yield chunk;
    }
  } finally {
    // The handle may be closed next: not under a read in flight.
    await ahead?.catch(() => undefined);
  }
}

async function readChunk(slice: FileSlice, start: number, end: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(Math.min(CHUNK_BYTES, end - start));
  const { bytesRead } = await slice.handle.read(buffer, 0, buffer.length, slice.start + start);
  if (bytesRead === 0) {
    throw new SociError(
      "data-loss",
      `Cannot read ${slice.name}: it ends at byte ${start}, want ${slice.size} bytes`,
    );
  }
  return bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
}
