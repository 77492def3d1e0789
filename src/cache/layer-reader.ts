import { CRC_BLOCK_BYTES, crcIndexOf } from "./crc-blocks.ts";
import { crc32 } from "./crc32.ts";
import type { LayerFiles } from "./layer-files.ts";
import type { LayerGeometry } from "./layer-geometry.ts";
import { lastUseTick, type LiveMap, PRESENT } from "./live-map.ts";
import { preadWhole } from "./pread-whole.ts";

/** Some of the bytes are not in the cache. */
export const MISS = -1;
/** A span is not what was written: `damaged` says which. */
export const DAMAGED = -2;

/** How far before `at` and behind the end a read may write, at most. */
export const READ_SLACK_BYTES = CRC_BLOCK_BYTES;

/** What a DAMAGED read came upon. */
export interface Damage {
  readonly span: number;
  /** Start of the block. */
  readonly uncompressedStart: number;
  readonly wantCrc: number;
  /** undefined: the bytes could not be read at all. */
  readonly gotCrc: number | undefined;
}

/**
 * Reads cached bytes of a layer in any thread. Nothing is given out that is not, by its CRC, what the
 * filler of its span wrote; and what is emptied meanwhile is not given out either. Hits allocate
 * nothing that lives, and wait for nothing but the disk.
 */
export class LayerReader {
  readonly #geometry: LayerGeometry;
  readonly #live: LiveMap;
  readonly #fd: number;
  /** Span words as they were before reading. */
  #seen = new Uint32Array(64);
  #scratch: Uint8Array | undefined;
  #damaged: Damage | undefined;

  constructor(files: LayerFiles) {
    this.#geometry = files.geometry;
    this.#live = files.live;
    this.#fd = files.dataFd;
  }

  /** Of the last read that returned DAMAGED. */
  get damaged(): Damage | undefined {
    return this.#damaged;
  }

  /**
   * Puts the uncompressed bytes [start, end) of the layer to `bytes[at]` and on; returns their number,
   * MISS or DAMAGED. It reads whole blocks, fastest where it may write up to READ_SLACK_BYTES before
   * `at` and behind the end; where the array is too small for that it takes another way.
   */
  read(start: number, end: number, bytes: Uint8Array, at: number): number {
    return this.#read(start, end, bytes, at, PRESENT);
  }

  /**
   * The same of spans that are still being filled in this process, as far as their blocks are written
   * (SpanWriter.readable): absent spans are taken for present, their CRCs are checked.
   */
  readFilled(start: number, end: number, bytes: Uint8Array, at: number): number {
    return this.#read(start, end, bytes, at, 0);
  }

  #read(start: number, end: number, bytes: Uint8Array, at: number, want: number): number {
    if (start >= end) return 0;
    const geometry = this.#geometry;
    const first = geometry.spanOf(start);
    const last = end <= geometry.uncompressedEnd(first) ? first : geometry.spanOf(end - 1);
    if (start < 0 || end > geometry.uncompressedEnd(last)) {
      throw new RangeError(`bytes ${start} to ${end} of the layer, want 0 to ${geometry.dataSize}`);
    }
    if (!this.#look(first, last, want)) return MISS;
    const from = blockStartOf(geometry, first, start);
    const to = blockEndOf(geometry, last, end);
    const before = at - (start - from);
    const after = at + (to - start);
    if (before < 0 || after > bytes.length) {
      return this.#readAside(start, end, bytes, at, want);
    }
    const got = preadWhole(this.#fd, bytes.subarray(before, after), from);
    const isRight = got === to - from && this.#check(first, last, from, bytes, before, after);
    if (!this.#isUnchanged(first, last)) return MISS;
    if (got !== to - from) {
      this.#tellUnread(from + Math.max(got, 0));
      return DAMAGED;
    }
    if (!isRight) return DAMAGED;
    this.#stamp(first, last);
    return end - start;
  }

  /** Whether all spans are there; remembers their words. */
  #look(first: number, last: number, want: number): boolean {
    const count = last - first + 1;
    if (count > this.#seen.length) this.#seen = new Uint32Array(2 * count);
    const { words } = this.#live;
    for (let i = 0; i < count; i++) {
      const word = Atomics.load(words, first + i);
      if ((word & want) !== want) return false;
      this.#seen[i] = word;
    }
    return true;
  }

  #isUnchanged(first: number, last: number): boolean {
    const { words } = this.#live;
    for (let span = first; span <= last; span++) {
      const seen = this.#seen[span - first] ?? 0;
      // That a span has become present while it was read is no change of its bytes.
      if ((Atomics.load(words, span) | PRESENT) !== (seen | PRESENT)) return false;
    }
    return true;
  }

  /** Checks all blocks in bytes[before..after), which begin at `from` of the layer. */
  #check(
    first: number,
    last: number,
    from: number,
    bytes: Uint8Array,
    before: number,
    after: number,
  ): boolean {
    const geometry = this.#geometry;
    const { crcs } = this.#live;
    let place = before;
    let offset = from;
    for (let span = first; span <= last; span++) {
      const spanStart = geometry.uncompressedStart(span);
      const spanEnd = Math.min(geometry.uncompressedEnd(span), from + (after - before));
      let index = crcIndexOf(span, spanStart) + (offset - spanStart) / CRC_BLOCK_BYTES;
      while (offset < spanEnd) {
        const length = Math.min(CRC_BLOCK_BYTES, spanEnd - offset);
        const crc = crc32(bytes.subarray(place, place + length));
        if (crc !== crcs[index]) {
          this.#damaged = {
            span,
            uncompressedStart: offset,
            wantCrc: crcs[index] ?? 0,
            gotCrc: crc,
          };
          return false;
        }
        place += length;
        offset += length;
        index++;
      }
    }
    return true;
  }

  #tellUnread(offset: number): void {
    const span = this.#geometry.spanOf(offset);
    const start = this.#geometry.uncompressedStart(span);
    const uncompressedStart = blockStartOf(this.#geometry, span, offset);
    const index = crcIndexOf(span, start) + (uncompressedStart - start) / CRC_BLOCK_BYTES;
    const wantCrc = this.#live.crcs[index] ?? 0;
    this.#damaged = { span, uncompressedStart, wantCrc, gotCrc: undefined };
  }

  #stamp(first: number, last: number): void {
    const now = lastUseTick();
    const { lastUse } = this.#live;
    for (let span = first; span <= last; span++) {
      if (lastUse[span] !== now) lastUse[span] = now;
    }
  }

  /** By way of memory of our own, in steps, where the target has no room for whole blocks. */
  #readAside(start: number, end: number, bytes: Uint8Array, at: number, want: number): number {
    this.#scratch ??= new Uint8Array(ASIDE_BYTES + 2 * READ_SLACK_BYTES);
    for (let offset = start; offset < end;) {
      const next = Math.min(end, offset + ASIDE_BYTES);
      const count = this.#read(offset, next, this.#scratch, READ_SLACK_BYTES, want);
      if (count < 0) return count;
      bytes.set(
        this.#scratch.subarray(READ_SLACK_BYTES, READ_SLACK_BYTES + count),
        at + (offset - start),
      );
      offset = next;
    }
    return end - start;
  }
}

const ASIDE_BYTES = 4 * CRC_BLOCK_BYTES;

function blockStartOf(geometry: LayerGeometry, span: number, offset: number): number {
  return offset - ((offset - geometry.uncompressedStart(span)) % CRC_BLOCK_BYTES);
}

function blockEndOf(geometry: LayerGeometry, span: number, end: number): number {
  const start = geometry.uncompressedStart(span);
  const blocks = Math.ceil((end - start) / CRC_BLOCK_BYTES);
  return Math.min(start + blocks * CRC_BLOCK_BYTES, geometry.uncompressedEnd(span));
}
