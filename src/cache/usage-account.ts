import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { isRecordLocked, recordUnlock, tryRecordLock } from "../sys/record-lock.ts";
import { acquireRecordLock } from "./acquire-record-lock.ts";
import { type BootId, bootId, NO_BOOT } from "./boot-id.ts";
import { ACCOUNT_LOCK, openCacheLock, slotLock } from "./cache-locks.ts";
import { lastUseTick } from "./live-map.ts";
import { replaceFile, writeAllAt } from "./new-file.ts";

const MAGIC = 0x5543_4153;
const VERSION = 1;
const HEADER_WORDS = 6;
const USED_WORD = 6;
const COUNTED_WORD = 7;
const FIRST_SLOT_WORD = 16;
const SLOTS = 240;
const ACCOUNT_BYTES = 4 * (FIRST_SLOT_WORD + SLOTS);

/** Unit of the account. In 32 bits it goes to 16 TiB. */
export const PAGE_BYTES = 4096;

export function pagesOf(bytes: number): number {
  return Math.min(Math.ceil(bytes / PAGE_BYTES), 0xffff_ffff);
}

/**
 * What a cache takes on disk, kept in memory that all its processes share: what was last counted, and
 * what has been reserved since. A process's reservations stand in a slot of its own, so that those of
 * a dead one can be told; and counting again sets right whatever went wrong.
 */
export class UsageAccount implements Disposable {
  readonly #words: Uint32Array;
  readonly #lockFd: number;
  readonly #slot: number | undefined;
  #isOpen = true;

  private constructor(words: Uint32Array, lockFd: number) {
    this.#words = words;
    this.#lockFd = lockFd;
    this.#slot = this.#takeSlot();
  }

  /** Opens the account, which lies in shared memory or, where there is none, in the cache. */
  static async open(
    cacheRoot: string,
    liveDirectory: string | undefined,
    options: WaitOptions = {},
  ): Promise<UsageAccount> {
    const lockFd = openCacheLock(cacheRoot);
    try {
      await acquireRecordLock(lockFd, ACCOUNT_LOCK, "exclusive", options);
      try {
        return new UsageAccount(openWords(cacheRoot, liveDirectory), lockFd);
      } finally {
        recordUnlock(lockFd, ACCOUNT_LOCK);
      }
    } catch (error) {
      closeSync(lockFd);
      throw error;
    }
  }

  /** Of everybody, reservations included. */
  get usedPages(): number {
    return Atomics.load(this.#words, USED_WORD);
  }

  /** When it was counted last, as lastUseTick() has it; 0: never. */
  get countedAt(): number {
    return Atomics.load(this.#words, COUNTED_WORD);
  }

  /** Reserves, unless more than `limitPages` would be in use then. */
  tryReserve(pages: number, limitPages: number): boolean {
    for (;;) {
      const used = this.usedPages;
      if (used + pages > limitPages) return false;
      if (Atomics.compareExchange(this.#words, USED_WORD, used, used + pages) === used) break;
    }
    this.#addToSlot(pages);
    return true;
  }

  /** What was reserved is on disk now, and will be counted there. */
  keep(pages: number): void {
    this.#addToSlot(-pages);
  }

  /** What was reserved is not needed. */
  giveBack(pages: number): void {
    this.#addToSlot(-pages);
    this.free(pages);
  }

  /** Room was made. */
  free(pages: number): void {
    this.#addToUsed(-pages);
  }

  /**
   * Counts anew with `count`, which says what is on disk. For who holds the room lock, so that nothing
   * is removed meanwhile; what is reserved and written meanwhile is counted twice rather than not at
   * all, until the next time.
   */
  async recount(count: () => Promise<number>): Promise<void> {
    this.#clearDeadSlots();
    // Twice: what is reserved or given back between the two must not be missed.
    const reservedBefore = this.#reservedPages();
    const before = this.usedPages;
    const reserved = Math.max(reservedBefore, this.#reservedPages());
    const pages = await count();
    this.#addToUsed(pages + reserved - before);
    Atomics.store(this.#words, COUNTED_WORD, lastUseTick() || 1);
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // With the descriptor the slot goes; what is still in it was never given back.
    closeSync(this.#lockFd);
  }

  #addToUsed(delta: number): void {
    for (;;) {
      const used = this.usedPages;
      const next = Math.max(0, Math.min(0xffff_ffff, used + delta));
      if (Atomics.compareExchange(this.#words, USED_WORD, used, next) === used) return;
    }
  }

  #addToSlot(delta: number): void {
    if (this.#slot === undefined) return;
    const at = FIRST_SLOT_WORD + this.#slot;
    Atomics.store(this.#words, at, Math.max(0, Atomics.load(this.#words, at) + delta));
  }

  #reservedPages(): number {
    let pages = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      pages += Atomics.load(this.#words, FIRST_SLOT_WORD + slot);
    }
    return pages;
  }

  #clearDeadSlots(): void {
    for (let slot = 0; slot < SLOTS; slot++) {
      if (Atomics.load(this.#words, FIRST_SLOT_WORD + slot) === 0 || slot === this.#slot) continue;
      if (!isRecordLocked(this.#lockFd, slotLock(slot))) {
        Atomics.store(this.#words, FIRST_SLOT_WORD + slot, 0);
      }
    }
  }

  /** undefined when more processes use the cache than there are slots: then a recount may miss reservations. */
  #takeSlot(): number | undefined {
    for (let slot = 0; slot < SLOTS; slot++) {
      if (!tryRecordLock(this.#lockFd, slotLock(slot), "exclusive")) continue;
      Atomics.store(this.#words, FIRST_SLOT_WORD + slot, 0);
      return slot;
    }
    return undefined;
  }
}

function openWords(cacheRoot: string, liveDirectory: string | undefined): Uint32Array {
  if (liveDirectory !== undefined) {
    try {
      return openWordsAt(join(liveDirectory, "account"), NO_BOOT);
    } catch (error) {
      if (!isErrno(error, "ENOSPC", "EDQUOT", "ENOENT", "EROFS", "EACCES", "EPERM")) throw error;
    }
  }
  return openWordsAt(join(cacheRoot, "account"), bootId());
}

function openWordsAt(path: string, boot: BootId): Uint32Array {
  const header = Uint32Array.of(MAGIC, VERSION, ...boot);
  const fd = openExisting(path, header) ?? createWords(path, header);
  try {
    const memory = Bun.mmap(`/proc/self/fd/${fd}`);
    return new Uint32Array(memory.buffer, memory.byteOffset, ACCOUNT_BYTES / 4);
  } finally {
    closeSync(fd);
  }
}

function openExisting(path: string, header: Uint32Array): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  const found = new Uint32Array(HEADER_WORDS);
  const bytes = new Uint8Array(found.buffer);
  const isOurs =
    fstatSync(fd).size === ACCOUNT_BYTES &&
    readSync(fd, bytes, 0, bytes.length, 0) === bytes.length &&
    header.every((word, i) => found[i] === word);
  if (isOurs) return fd;
  closeSync(fd);
  return undefined;
}

function createWords(path: string, header: Uint32Array): number {
  const words = new Uint32Array(ACCOUNT_BYTES / 4);
  words.set(header);
  return replaceFile(path, (fd) => writeAllAt(fd, new Uint8Array(words.buffer)));
}
