import { replyData, replyError } from "../fuse/replies.ts";
import type { FileReads, FileTarget, TarReader } from "../lazyfs/read-file.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import { RepeatGate } from "../observability/repeat-gate.ts";
import { EINTR, EIO, ESTALE } from "../sys/errno.ts";
import { FailedReads } from "./failed-reads.ts";
import type { ReadMiss } from "./fuse-messages.ts";

/** One layer as whoever answers missed reads needs it. */
export interface AnsweredLayer {
  readonly files: FileReads;
  /** Reads what is there by now: from the cache, or a span that is being inflated, or memory. */
  readonly reader: TarReader;
  /** Resolves when all of these bytes of the layer's tar can be read. */
  want(start: number, end: number, options: WantBytesOptions): Promise<void>;
}

export interface WantBytesOptions extends WaitOptions {
  /** They had come before, and were gone again when they were to be read. */
  readonly isForMemory: boolean;
  /** Where in the tar the file ends that is read; undefined: not known. */
  readonly fileEnd: number | undefined;
}

export interface ReadAnswererOptions {
  /** By table number; it may change. */
  readonly layers: ReadonlyMap<number, AnsweredLayer>;
  /** Of the largest read. */
  readonly maxRead: number;
  /** Told of each read that has been answered, with what it waited and whether it failed. */
  readonly onAnswered?: ((ms: number, size: number, failed: boolean) => void) | undefined;
  /** Told of each slot of a journal whose read has been answered. */
  readonly onReplied?: ((slot: number) => void) | undefined;
  readonly log: Logger;
}

const SLACK = 32 * 1024;
/** Interrupts that came before the read that they are about. */
const MAX_EARLY = 1024;
/** Bytes that have come may be evicted, or be found damaged, before they are read: how often they are asked for. */
const MAX_ROUNDS = 32;
/** After so many rounds they are kept in memory until they have been read. */
const ROUNDS_TO_MEMORY = 3;

/**
 * Answers reads that threads of the mount could not: waits until the bytes are there, then writes
 * the reply on the descriptor that the request came from. A failure is EIO; whoever knows its reason
 * has logged it.
 */
export class ReadAnswerer implements AsyncDisposable {
  readonly #layers: ReadonlyMap<number, AnsweredLayer>;
  readonly #onAnswered: ReadAnswererOptions["onAnswered"];
  readonly #onReplied: ReadAnswererOptions["onReplied"];
  readonly #target: FileTarget;
  readonly #log: Logger;
  readonly #pending = new Map<bigint, PendingAnswer>();
  readonly #early = new Set<bigint>();
  readonly #failed = new FailedReads();
  readonly #gate = new RepeatGate();
  #isEnding = false;
  #isLeft = false;

  constructor({ layers, maxRead, onAnswered, onReplied, log }: ReadAnswererOptions) {
    this.#onReplied = onReplied;
    this.#onAnswered = onAnswered;
    this.#layers = layers;
    this.#log = log;
    this.#target = {
      bytes: new Uint8Array(maxRead + 2 * SLACK),
      slack: SLACK,
      start: SLACK,
      end: SLACK,
    };
  }

  /** Reads that wait. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Never rejects. */
  async answer(miss: ReadMiss): Promise<void> {
    if (this.#isLeft) return;
    await this.#reply(miss);
    if (miss.slot !== undefined && !this.#isLeft) this.#onReplied?.(miss.slot);
  }

  async #reply(miss: ReadMiss): Promise<void> {
    const { fd, unique } = miss;
    if (this.#early.delete(unique) || this.#isEnding) {
      replyError(fd, unique, EINTR);
      return;
    }
    if (this.#failed.has(miss)) {
      replyError(fd, unique, EIO);
      return;
    }
    const controller = new AbortController();
    const given = Promise.withResolvers<void>();
    const pending: PendingAnswer = {
      layer: miss.layer,
      controller,
      given: given.promise,
      abortErrno: EINTR,
    };
    this.#pending.set(unique, pending);
    const begun = performance.now();
    try {
      await this.#answer(miss, controller.signal);
      this.#onAnswered?.(performance.now() - begun, miss.size, false);
    } catch (error) {
      if (!controller.signal.aborted) {
        this.#onAnswered?.(performance.now() - begun, 0, true);
      }
      if (!controller.signal.aborted) this.#tell(miss, error);
      if (error instanceof BytesNotHad && !controller.signal.aborted) this.#failed.add(miss);
      if (this.#isLeft && controller.signal.aborted) return;
      replyError(fd, unique, controller.signal.aborted ? pending.abortErrno : EIO);
    } finally {
      this.#pending.delete(unique);
      given.resolve();
    }
  }

  /** The caller of a read gives up: it is answered at once. */
  interrupt(unique: bigint): void {
    const pending = this.#pending.get(unique);
    if (pending !== undefined) {
      pending.controller.abort(new DOMException("the reader was interrupted", "AbortError"));
      return;
    }
    // Either it has been answered, or another thread's message about it is still on its way.
    this.#early.add(unique);
    for (const oldest of this.#early) {
      if (this.#early.size <= MAX_EARLY) break;
      this.#early.delete(oldest);
    }
  }

  /** Fails what waits for a layer that is shown no more; resolves when every reply is written. */
  async drop(layer: number): Promise<void> {
    const dropped = [...this.#pending.values()].filter((pending) => pending.layer === layer);
    for (const pending of dropped) {
      pending.abortErrno = ESTALE;
      pending.controller.abort(new DOMException("the layer is shown no more", "AbortError"));
    }
    await Promise.all(dropped.map(({ given }) => given));
  }

  /** Answers nobody any more: whoever goes on serving the mount has the kernel ask again. */
  leaveAll(): void {
    this.#isLeft = true;
    for (const { controller } of this.#pending.values()) {
      controller.abort(new DOMException("the mount is left to another process", "AbortError"));
    }
  }

  /** Fails all that wait, and whatever still comes: the mount ends. */
  interruptAll(): void {
    this.#isEnding = true;
    for (const { controller } of this.#pending.values()) {
      controller.abort(new DOMException("the mount ends", "AbortError"));
    }
  }

  /** The same, and resolves when every reply is written: descriptors may be closed then, and not before. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.interruptAll();
    await Promise.all(Array.from(this.#pending.values(), ({ given }) => given));
  }

  async #answer(miss: ReadMiss, signal: AbortSignal): Promise<void> {
    const layer = this.#layers.get(miss.layer);
    if (layer === undefined) throw new Error(`no layer with table ${miss.layer}`);
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const isForMemory = round >= ROUNDS_TO_MEMORY;
      const options = { signal, isForMemory, fileEnd: layer.files.endOf(miss.entry) };
      const wanted = layer.files
        .rangesOf(miss)
        .map(({ start, end }) => layer.want(start, end, options));
      await Promise.all(wanted).catch((cause: unknown) => {
        throw new BytesNotHad(cause);
      });
      if (layer.files.read(miss, layer.reader, this.#target) >= 0) {
        replyData(miss.fd, miss.unique, this.#target);
        return;
      }
    }
    throw new SociError(
      "unavailable",
      `Cannot read file: its bytes were gone from the cache ${MAX_ROUNDS} times before they were read`,
      { hint: "--cache-size allows a larger cache" },
    );
  }

  #tell({ entry, offset, size }: ReadMiss, error: unknown): void {
    if (error instanceof BytesNotHad) this.#log.debug("read failed", { entry, offset, size });
    else if (this.#gate.lets("read failed")) {
      this.#log.error("read failed", { entry, offset, size, error });
    }
  }
}

interface PendingAnswer {
  readonly layer: number;
  readonly controller: AbortController;
  /** Resolves when it is given. */
  readonly given: Promise<void>;
  /** What its reader gets when it is aborted. */
  abortErrno: number;
}

/** What kept the bytes away, which is in the log already. */
class BytesNotHad extends Error {
  constructor(cause: unknown) {
    super("the bytes cannot be had", { cause });
  }
}
