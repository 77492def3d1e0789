import { SociError } from "../errors.ts";
import { crcTableLength } from "./crc-blocks.ts";
import type { LayerGeometry } from "./layer-geometry.ts";

const MAGIC = 0x4c56_4953;
const VERSION = 1;
const HEADER_WORDS = 16;

/** What a live map is for. Two that differ in anything are not the same layer's data. */
export interface LiveIdentity {
  /** Drawn by lot when the data file was made. */
  readonly epoch: readonly [number, number];
  /** The boot that it is good for; all zeros where it dies with the boot anyway. */
  readonly boot: readonly [number, number, number, number];
}

/** Bit 0 of a span's word: its bytes are there. The other bits count how often it was emptied. */
export const PRESENT = 1;

/**
 * The map that all threads and processes with the layer open share: for each span a word
 * `generation * 2 + present` and when it was last read, and the CRC table. A span's word only goes
 * present(g) → absent(g+1), by anybody, and absent(g) → present(g), by who holds its lock; so who
 * finds the same word before and after reading has read what was there all the time.
 */
export class LiveMap {
  readonly geometry: LayerGeometry;
  /** The span words, for Atomics. */
  readonly words: Uint32Array;
  /** Ticks, as lastUseTick() has them. Written without care: it is only an order. */
  readonly lastUse: Uint32Array;
  /** One CRC-32 a block, by crcIndexOf(). */
  readonly crcs: Uint32Array;
  readonly identity: LiveIdentity;

  /** Lays itself over mapped memory that isLiveMap() has accepted. */
  constructor(memory: Uint8Array, geometry: LayerGeometry) {
    const { spanCount, dataSize } = geometry;
    if (memory.length !== liveMapBytes(geometry)) {
      throw new SociError(
        "data-loss",
        `Cannot use live map: it has ${memory.length} bytes, want ${liveMapBytes(geometry)}`,
      );
    }
    const { buffer, byteOffset } = memory;
    const spans = byteOffset + 4 * HEADER_WORDS;
    this.geometry = geometry;
    this.identity = identityIn(new Uint32Array(buffer, byteOffset, HEADER_WORDS));
    this.words = new Uint32Array(buffer, spans, spanCount);
    this.lastUse = new Uint32Array(buffer, spans + 4 * spanCount, spanCount);
    this.crcs = new Uint32Array(buffer, spans + 8 * spanCount, crcTableLength(spanCount, dataSize));
  }

  isPresent(span: number): boolean {
    return (Atomics.load(this.words, span) & PRESENT) !== 0;
  }

  /** For who holds the span's lock: its bytes and CRCs are written. */
  markPresent(span: number, now: number): void {
    this.lastUse[span] = now;
    Atomics.or(this.words, span, PRESENT);
  }

  /** Takes the span away, if its word is still this one (a present one). */
  empty(span: number, word: number): boolean {
    // From 2g+1 to 2(g+1); after 2^31 rounds it starts again.
    return Atomics.compareExchange(this.words, span, word, (word + 1) >>> 0) === word;
  }

  /** Bytes of all spans that are present. */
  presentBytes(): number {
    let bytes = 0;
    for (let span = 0; span < this.words.length; span++) {
      if (this.isPresent(span)) bytes += this.geometry.uncompressedLength(span);
    }
    return bytes;
  }
}

const TICK_MS = 64;

/** The time in 32 bits, which start again after eight years: only for the age of a last use, see ageMs(). */
export function lastUseTick(): number {
  return Math.floor(Date.now() / TICK_MS) >>> 0;
}

/** How long ago a last use was; 0 when the clock was put back since. */
export function ageMs(now: number, lastUse: number): number {
  return Math.max(0, (now - lastUse) | 0) * TICK_MS;
}

export function liveMapBytes({ spanCount, dataSize }: LayerGeometry): number {
  return 4 * (HEADER_WORDS + 2 * spanCount + crcTableLength(spanCount, dataSize));
}

export interface LiveMapContent extends LiveIdentity {
  /** 1 for each span that is there. */
  readonly presence: Uint8Array;
  readonly crcs: Uint32Array;
  readonly now: number;
}

/** Bytes of a new live map. */
export function encodeLiveMap(geometry: LayerGeometry, content: LiveMapContent): Uint8Array {
  const bytes = new Uint8Array(liveMapBytes(geometry));
  new Uint32Array(bytes.buffer).set(headerOf(geometry, content));
  const live = new LiveMap(bytes, geometry);
  live.crcs.set(content.crcs);
  for (let span = 0; span < live.words.length; span++) {
    if (content.presence[span] === 1) live.markPresent(span, content.now);
  }
  return bytes;
}

/** Whether `header`, the first LIVE_HEADER_BYTES of a file, is that of this very live map. */
export function isLiveMap(
  header: Uint8Array,
  geometry: LayerGeometry,
  identity: LiveIdentity,
): boolean {
  const want = new Uint8Array(headerOf(geometry, identity).buffer);
  return Buffer.from(want).equals(header);
}

export const LIVE_HEADER_BYTES = 4 * HEADER_WORDS;

function headerOf(geometry: LayerGeometry, { epoch, boot }: LiveIdentity): Uint32Array {
  const header = new Uint32Array(HEADER_WORDS);
  header.set([MAGIC, VERSION, geometry.crc, geometry.spanCount, ...epoch, ...boot]);
  return header;
}

function identityIn(header: Uint32Array): LiveIdentity {
  const word = (i: number): number => header[i] ?? 0;
  return { epoch: [word(4), word(5)], boot: [word(6), word(7), word(8), word(9)] };
}
