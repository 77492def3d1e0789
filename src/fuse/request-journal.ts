import { SociError } from "../errors.ts";
import { FUSE_BATCH_FORGET, FUSE_FORGET, FUSE_INTERRUPT } from "./abi.ts";
import { fuse_in_header } from "./abi-structs.ts";

// Before Linux 6.9 nobody can have the kernel ask again what a server had read that has ended. So
// threads read requests into memory that outlives them: a request stands in its thread's slot until it
// has been answered, a read that somebody else answers in a slot of its own. Whoever serves the mount
// next answers what stands there. What was answered already, in the last moment, is answered again in
// vain (ENOENT), which is harmless, as the kernel gives no number of a request twice.

/** Largest frame of a request; only FORGETs, which come in batches, are ever this long. */
const FRAME_BYTES = 64 << 10;
/** Reads under way of one thread: more than the kernel has in the background, and whoever else waits. */
const PARKED = 1024;
/** Room for a request with a name of the longest kind, FUSE_NAME_MAX. */
const PARKED_BYTES = 1152;
const THREAD_BYTES = FRAME_BYTES + PARKED * PARKED_BYTES;
const MAX_THREADS = 64;
const HEADER_BYTES = 4096;
const MAGIC = 0x4c4e524a;
const VERSION = 1;
const { at } = fuse_in_header;

/** Bytes of a journal for so many threads. */
export function journalBytes(threads: number): number {
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new RangeError(`Cannot make a journal for ${threads} threads, want 1 to ${MAX_THREADS}`);
  }
  return HEADER_BYTES + threads * THREAD_BYTES;
}

/** Begins a journal in memory of that size which is all zeros. */
export function beginJournal(memory: Uint8Array, threads: number): void {
  const view = viewOf(memory);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, threads, true);
  // Last: without it there is no journal.
  view.setUint32(0, MAGIC, true);
}

/**
 * The requests that were read and not answered, as frames of their own. FORGETs and INTERRUPTs are
 * none: nobody waits for an answer. Memory that was never begun has none.
 * @throws unsupported for a journal of another version
 */
export function unansweredIn(memory: Uint8Array): readonly Uint8Array[] {
  if (memory.length < HEADER_BYTES) return [];
  const view = viewOf(memory);
  if (view.getUint32(0, true) !== MAGIC) return [];
  const version = view.getUint32(4, true);
  if (version !== VERSION) {
    throw new SociError(
      "unsupported",
      `Cannot use journal of requests: version is ${version}, want ${VERSION}`,
    );
  }
  const threads = Math.min(view.getUint32(8, true), MAX_THREADS);
  const frames: Uint8Array[] = [];
  for (let thread = 0; thread < threads; thread++) {
    const start = HEADER_BYTES + thread * THREAD_BYTES;
    collect(memory, { start, room: FRAME_BYTES }, frames);
    for (let i = 0; i < PARKED; i++) {
      collect(memory, { start: parkedAt(thread * PARKED + i), room: PARKED_BYTES }, frames);
    }
  }
  return frames;
}

/** One thread's part of a journal, or the view of whoever answers what threads park. */
export class RequestJournal {
  readonly #memory: Uint8Array;
  readonly #view: DataView;
  readonly #first: number;
  #next = 0;

  /** `thread` counts from 0. */
  constructor(memory: Uint8Array, thread: number) {
    if (memory.length < journalBytes(thread + 1)) {
      throw new RangeError(`Cannot use ${memory.length} bytes as journal of thread ${thread}`);
    }
    this.#memory = memory;
    this.#view = viewOf(memory);
    this.#first = thread * PARKED;
    const start = HEADER_BYTES + thread * THREAD_BYTES;
    this.request = memory.subarray(start, start + FRAME_BYTES);
  }

  /** Where the thread is to read its requests. What stands there is unanswered unless its length is 0. */
  readonly request: Uint8Array;

  /** Puts a request aside that is answered later; its slot, -1 when there is none: it is not remembered then. */
  park(frame: Uint8Array): number {
    if (frame.length > PARKED_BYTES || frame.length < fuse_in_header.bytes) return -1;
    for (let tries = 0; tries < PARKED; tries++) {
      const slot = this.#first + this.#next;
      this.#next = (this.#next + 1) % PARKED;
      const start = parkedAt(slot);
      if (this.#view.getUint32(start + at.len, true) !== 0) continue;
      // The length last: a slot that is half written is a free one.
      this.#memory.set(frame.subarray(4), start + 4);
      this.#view.setUint32(start + at.len, frame.length, true);
      return slot;
    }
    return -1;
  }

  /** Frees a slot of any thread, once its request has been answered. */
  release(slot: number): void {
    if (slot >= 0) this.#view.setUint32(parkedAt(slot) + at.len, 0, true);
  }
}

function parkedAt(slot: number): number {
  const thread = Math.floor(slot / PARKED);
  return (
    HEADER_BYTES + thread * THREAD_BYTES + FRAME_BYTES + (slot - thread * PARKED) * PARKED_BYTES
  );
}

function collect(
  memory: Uint8Array,
  { start, room }: { readonly start: number; readonly room: number },
  frames: Uint8Array[],
): void {
  if (start + room > memory.length) return;
  const view = viewOf(memory);
  const length = view.getUint32(start + at.len, true);
  if (length < fuse_in_header.bytes || length > room) return;
  const opcode = view.getUint32(start + at.opcode, true);
  if (opcode === FUSE_FORGET || opcode === FUSE_BATCH_FORGET || opcode === FUSE_INTERRUPT) return;
  frames.push(memory.slice(start, start + length));
}

function viewOf(memory: Uint8Array): DataView {
  return new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
}
