import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import { CONTENT_INFO, type ContentInfo, CONTENT_SERVICE } from "./api/content.ts";
import type { ContainerdCalls } from "./containerd-calls.ts";

export interface BlobName {
  readonly digest: string;
  readonly size: number;
}

export interface WriteContentOptions extends WaitOptions {
  /** What others write the same under: only one does at a time. As containerd: `layer-<digest>`. */
  readonly ref: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

export interface ReadContentOptions extends WaitOptions {
  readonly start?: number;
  /** Default: the blob's end. */
  readonly end?: number;
}

// Larger messages stall between grpc-js and containerd.
const MESSAGE_BYTES = 64 * 1024;
const MIN_WAIT_MS = 50;
const MAX_WAIT_MS = 1000;

/** The blobs of one namespace. */
export class ContentClient {
  readonly #calls: ContainerdCalls;

  constructor(calls: ContainerdCalls) {
    this.#calls = calls;
  }

  /** `undefined` when it is not there. */
  async info(digest: string, { signal }: WaitOptions = {}): Promise<ContentInfo | undefined> {
    const what = `look up content ${digest}`;
    try {
      return (await this.#calls.unary(CONTENT_SERVICE.info, { digest }, { what, signal })).info;
    } catch (error) {
      if (isKind(error, "not-found")) return undefined;
      throw error;
    }
  }

  /** Sets labels; an empty one is taken away. The others stay. @throws not-found */
  async setLabels(
    digest: string,
    { labels, signal }: WaitOptions & { readonly labels: Readonly<Record<string, string>> },
  ): Promise<void> {
    const info = CONTENT_INFO.create({ digest, labels });
    const updateMask = { paths: Object.keys(labels).map((label) => `labels.${label}`) };
    const what = `label content ${digest}`;
    await this.#calls.unary(CONTENT_SERVICE.update, { info, updateMask }, { what, signal });
  }

  async *list(
    filters: readonly string[] = [],
    { signal }: WaitOptions = {},
  ): AsyncGenerator<ContentInfo> {
    const options = { what: "list the content of containerd", signal };
    for await (const { info } of this.#calls.stream(CONTENT_SERVICE.list, { filters }, options)) {
      yield* info;
    }
  }

  /** Whether it was there. */
  async delete(digest: string, { signal }: WaitOptions = {}): Promise<boolean> {
    const what = `delete content ${digest}`;
    try {
      await this.#calls.unary(CONTENT_SERVICE.delete, { digest }, { what, signal });
      return true;
    } catch (error) {
      if (isKind(error, "not-found")) return false;
      throw error;
    }
  }

  /** Bytes [start, end) as they come; NOT verified. @throws not-found, and data-loss when there are fewer */
  async *read(
    { digest, size }: BlobName,
    { start = 0, end = size, signal }: ReadContentOptions = {},
  ): AsyncGenerator<Uint8Array> {
    if (start >= end) return;
    const options = { what: `read content ${digest}`, signal, timeoutMs: 0 };
    const request = { digest, offset: start, size: end - start };
    let at = start;
    for await (const { data } of this.#calls.stream(CONTENT_SERVICE.read, request, options)) {
      at += data.length;
      if (at > end) break;
      yield data;
    }
    if (at !== end) {
      throw new SociError(
        "data-loss",
        `Cannot read content ${digest}: got bytes up to ${at}, want ${end}`,
      );
    }
  }

  /**
   * Writes a blob, which containerd verifies. Resolves to whether it was there before; then its labels
   * are set all the same. Waits while somebody else writes it. `open` is called when it is this one's
   * turn, and again when that came to nothing through no fault of the bytes.
   */
  async write(
    blob: BlobName,
    open: () => AsyncIterable<Uint8Array>,
    { labels = {}, ...options }: WriteContentOptions,
  ): Promise<{ readonly existed: boolean }> {
    const { signal, ref } = options;
    let isSecond = false;
    for (let wait = MIN_WAIT_MS; ; wait = Math.min(2 * wait, MAX_WAIT_MS)) {
      try {
        await this.#write(blob, open, { labels, asksFirst: isSecond, ...options });
        return { existed: false };
      } catch (error) {
        if (isLocked(error)) {
          await delay(wait, { signal });
          continue;
        }
        // What an earlier write left may be wrong: once more without it. Of a blob that another namespace
        // has, containerd keeps it nevertheless and appends to it: nothing may be sent then.
        if (isKind(error, "failed-precondition") && !isSecond) {
          isSecond = true;
          await this.abort(ref, { signal });
          continue;
        }
        if (!isKind(error, "already-exists")) throw error;
      }
      if (await this.#labelled(blob, { labels, signal })) return { existed: true };
    }
  }

  /** Gives up a write that was not committed; one that is not there is fine. */
  async abort(ref: string, { signal }: WaitOptions = {}): Promise<void> {
    const what = `abort write "${ref}"`;
    try {
      await this.#calls.unary(CONTENT_SERVICE.abort, { ref }, { what, signal });
    } catch (error) {
      if (!isKind(error, "not-found")) throw error;
    }
  }

  /** False when it has been collected meanwhile. */
  async #labelled(
    { digest }: BlobName,
    { labels, signal }: WaitOptions & { readonly labels: Readonly<Record<string, string>> },
  ): Promise<boolean> {
    try {
      if (Object.keys(labels).length > 0) await this.setLabels(digest, { labels, signal });
      return true;
    } catch (error) {
      if (isKind(error, "not-found")) return false;
      throw error;
    }
  }

  async #write(
    { digest, size }: BlobName,
    open: () => AsyncIterable<Uint8Array>,
    {
      ref,
      labels = {},
      asksFirst,
      onBytes,
      signal,
    }: WriteContentOptions & { readonly asksFirst: boolean },
  ): Promise<void> {
    const what = `write content ${digest}`;
    const isLarge = size > MESSAGE_BYTES;
    using call = this.#calls.duplex(CONTENT_SERVICE.write, { what, signal, isLarge });
    const name = { ref, total: size, expected: digest };
    const commit = async (offset: number, data: Uint8Array): Promise<void> => {
      await call.send({ ...name, action: "commit", offset, data, labels });
      const last = await call.finish();
      onBytes?.(data.length);
      if (last?.action === "commit") return;
      throw new SociError("unavailable", `Cannot ${what}: containerd has not committed it`);
    };
    // A small blob is one message; of a large one the first asks whether it is wanted at all.
    if (isLarge || asksFirst) {
      const { offset } = await call.ask({ ...name, action: "stat" });
      // Another namespace has it, or a write that was not committed.
      if (offset === size) return await commit(offset, new Uint8Array());
    }
    let offset = 0;
    let held: Uint8Array | undefined;
    for await (const data of inMessages(open())) {
      if (held !== undefined) {
        const first = offset === 0 ? name : {};
        await call.send({ ...first, action: "write", offset, data: held });
        offset += held.length;
        onBytes?.(held.length);
      }
      held = data;
    }
    await commit(offset, held ?? new Uint8Array());
  }
}

/** In full messages, but for the last one: sources send in pieces of any size. */
async function* inMessages(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let buffer = new Uint8Array(MESSAGE_BYTES);
  let filled = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      const piece = chunk.subarray(at, at + MESSAGE_BYTES - filled);
      buffer.set(piece, filled);
      filled += piece.length;
      at += piece.length;
      if (filled < MESSAGE_BYTES) continue;
      yield buffer;
      buffer = new Uint8Array(MESSAGE_BYTES);
      filled = 0;
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}

/** Somebody else writes the same. */
function isLocked(error: unknown): boolean {
  return isKind(error, "unavailable") && /\block(?:ed)?\b/.test(error.message);
}
