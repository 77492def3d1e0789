import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import type { ByteLog } from "../bytes/byte-log.ts";
import { MemoryByteLog } from "../bytes/byte-log.ts";

const MEMORY_BYTES = 8 << 20;
const BUFFER_BYTES = 1 << 20;

export interface TempByteLogOptions {
  /** Where the file is made once it is needed. It has no name there: it goes with the process. */
  readonly directory: string;
  /** Bytes kept in memory before a file is used. */
  readonly memoryBytes?: number;
}

/**
 * A ByteLog that moves to an unlinked temporary file once it is large. Disposing closes the file;
 * after that chunks() may not be called.
 */
export class TempByteLog implements ByteLog, Disposable {
  readonly #directory: string;
  readonly #memoryBytes: number;
  #memory: MemoryByteLog | undefined = new MemoryByteLog();
  #descriptor: number | undefined;
  #size = 0;
  /** What is not in the file yet. */
  #buffer: Uint8Array | undefined;
  #buffered = 0;

  constructor({ directory, memoryBytes = MEMORY_BYTES }: TempByteLogOptions) {
    this.#directory = directory;
    this.#memoryBytes = memoryBytes;
  }

  get size(): number {
    return this.#size;
  }

  append(bytes: Uint8Array): void {
    this.#size += bytes.length;
    if (this.#memory !== undefined) {
      if (this.#size <= this.#memoryBytes) {
        this.#memory.append(bytes);
        return;
      }
      this.#moveToFile(this.#memory);
    }
    this.#write(bytes);
  }

  *chunks(): Iterable<Uint8Array> {
    if (this.#memory !== undefined) {
      yield* this.#memory.chunks();
      return;
    }
    this.#flush();
    const chunk = new Uint8Array(BUFFER_BYTES);
    for (let start = 0; start < this.#size;) {
      const count = readSync(
        this.#open(),
        chunk,
        0,
        Math.min(chunk.length, this.#size - start),
        start,
      );
      if (count === 0) throw new Error(`temporary file ends at byte ${start}, want ${this.#size}`);
      yield chunk.subarray(0, count);
      start += count;
    }
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    this.#memory = undefined;
  }

  #moveToFile(memory: MemoryByteLog): void {
    const path = join(this.#directory, `.sociable-${randomUUID()}`);
    this.#descriptor = openSync(path, "wx+", 0o600);
    rmSync(path);
    this.#buffer = new Uint8Array(BUFFER_BYTES);
    this.#memory = undefined;
    for (const piece of memory.chunks()) this.#write(piece);
  }

  #write(bytes: Uint8Array): void {
    let left = bytes;
    while (left.length > 0 && this.#buffer !== undefined) {
      const count = Math.min(left.length, this.#buffer.length - this.#buffered);
      this.#buffer.set(left.subarray(0, count), this.#buffered);
      this.#buffered += count;
      left = left.subarray(count);
      if (this.#buffered === this.#buffer.length) this.#flush();
    }
  }

  #flush(): void {
    for (let start = 0; start < this.#buffered && this.#buffer !== undefined;) {
      start += writeSync(this.#open(), this.#buffer, start, this.#buffered - start);
    }
    this.#buffered = 0;
  }

  #open(): number {
    if (this.#descriptor === undefined) throw new Error("TempByteLog used after its disposal");
    return this.#descriptor;
  }
}
