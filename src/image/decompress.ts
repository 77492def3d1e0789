import { pipeline, Readable } from "node:stream";
import { createZstdDecompress } from "node:zlib";
import { GzipDecoder } from "../deflate/gzip-decoder.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { SociError } from "../errors.ts";

/** How a layer's bytes are packed, whatever its media type says. */
export type Encoding = "gzip" | "zstd" | "tar";

// https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1: a frame, or a skippable frame.
const ZSTD_MAGIC = 0xfd2fb528;
const ZSTD_SKIPPABLE_MAGIC = 0x184d2a50;

/** Tells the encoding by the first bytes (4 are enough); what is neither gzip nor zstd is a tar. */
export function encodingOf(head: Uint8Array): Encoding {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  if (head.length < 4) return "tar";
  const magic = Buffer.from(head.subarray(0, 4)).readUInt32LE();
  if (magic === ZSTD_MAGIC || (magic & 0xfffffff0) >>> 0 === ZSTD_SKIPPABLE_MAGIC) return "zstd";
  return "tar";
}

/** A stream of which the first bytes have been looked at. */
export interface PeekedStream {
  readonly encoding: Encoding;
  /** All of it, from the start. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Reads as much of a stream as tells its encoding. Whoever gets the result reads or returns it. */
export async function peekEncoding(source: AsyncIterable<Uint8Array>): Promise<PeekedStream> {
  const iterator = source[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array(0);
  let isEnded = false;
  while (head.length < 4 && !isEnded) {
    const next = await iterator.next();
    if (next.done === true) isEnded = true;
    else head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  const first = head;
  async function* whole(): AsyncGenerator<Uint8Array> {
    try {
      if (first.length > 0) yield first;
      while (!isEnded) {
        const next = await iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return { encoding: encodingOf(first), bytes: whole() };
}

/** The uncompressed bytes of a peeked stream. Chunks die with the next step. @throws data-loss */
export async function* decompress(
  { encoding, bytes }: PeekedStream,
  engine: () => InflateEngine,
): AsyncGenerator<Uint8Array> {
  if (encoding === "tar") yield* bytes;
  else if (encoding === "gzip") yield* gunzip(bytes, engine());
  else yield* unzstd(bytes);
}

async function* gunzip(
  source: AsyncIterable<Uint8Array>,
  engine: InflateEngine,
): AsyncGenerator<Uint8Array> {
  const decoder = new GzipDecoder(engine);
  for await (const chunk of source) {
    decoder.push(chunk);
    while (decoder.run() !== "input") yield decoder.output;
  }
  decoder.endInput();
  while (decoder.run() !== "end") yield decoder.output;
}

async function* unzstd(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let failure: { readonly error: unknown } | undefined;
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      failure = { error };
      throw error;
    }
  }
  // The stream is not asked whether it ended inside a frame: the blob's digest says that it is whole.
  // pipeline(), for pipe() would leave the reader waiting when the source fails.
  const stream = pipeline(Readable.from(watched()), createZstdDecompress(), () => undefined);
  try {
    yield* stream;
  } catch (cause) {
    if (failure !== undefined) throw failure.error;
    throw new SociError("data-loss", "Cannot decompress a zstd layer", { cause });
  }
}
