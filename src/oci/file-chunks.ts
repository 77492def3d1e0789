import { createReadStream } from "node:fs";

/** A file's bytes; it is opened with the first chunk asked for, closed with the last or when the reader gives up. */
export async function* fileChunks(path: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(path, { highWaterMark: 256 * 1024 });
}
