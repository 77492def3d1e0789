import { ByteWriter } from "../bytes/byte-writer.ts";
import { SociError } from "../errors.ts";
import {
  completeEntry,
  type DataPlace,
  EntryAssembler,
  isExtension,
  type PendingEntry,
} from "./entry-assembler.ts";
import {
  invalidMap,
  linesWanted,
  paxSparseFormatOf,
  paxSparseNameOf,
  paxSparseSizeOf,
} from "./sparse-map.ts";
import {
  BLOCK_BYTES,
  GNU,
  isHeaderOnly,
  isZeroBlock,
  MAX_EXTENSION_BYTES,
  paddingOf,
  TYPE_GNU_SPARSE,
} from "./tar-block.ts";
import type { TarEntry } from "./tar-entry.ts";
import { bodyBytesOf, decodeTarHeader, EMPTY, type TarHeader } from "./tar-header.ts";
import { parseNumeric } from "./tar-number.ts";

export interface TarScannerOptions {
  /** Called for each entry, in order, as soon as its headers are complete. What it throws stops the scan. */
  readonly onEntry: (entry: TarEntry) => void;
}

/** What the scanner is collecting or passing over. */
type State =
  | { readonly kind: "header" | "second-zero-block" | "old-sparse-block" | "map-block" | "skip" }
  | { readonly kind: "extension"; readonly header: TarHeader; readonly offset: number };

const HEADER: State = { kind: "header" };
const SECOND_ZERO_BLOCK: State = { kind: "second-zero-block" };
const OLD_SPARSE_BLOCK: State = { kind: "old-sparse-block" };
const MAP_BLOCK: State = { kind: "map-block" };
const SKIP: State = { kind: "skip" };

const NEWLINE = 0x0a;

/**
 * Reads the headers of a tar as it streams by, with the rules of Go's archive/tar Reader (1.26): the
 * same entries, the same positions, the same refusals. Bodies are passed over by arithmetic, so a
 * chunk without headers costs nothing. Memory: one block and at most one extension (1 MiB).
 *
 * Damage throws `data-loss`; after any error each further call throws it again.
 */
export class TarScanner {
  readonly #onEntry: (entry: TarEntry) => void;
  readonly #assembler = new EntryAssembler();
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #state: State = HEADER;
  /** Where the archive's bytes are copied to unless they are skipped, and how far it is filled. */
  #target: Uint8Array = this.#block;
  #filled = 0;
  /** Bytes still to pass over; the last `#padding` of them are padding, which may be missing. */
  #skip = 0;
  #padding = 0;
  #position = 0;
  #done = false;
  #failure: { readonly error: unknown } | undefined;
  /** The entry whose sparse map is being collected; `#map` holds it when it is pax 1.0. */
  #pending: PendingEntry | undefined;
  readonly #map = new ByteWriter(BLOCK_BYTES);
  #mapLines = 0;
  #mapLinesWanted: number | undefined;

  constructor({ onEntry }: TarScannerOptions) {
    this.#onEntry = onEntry;
  }

  /** Whether the archive's end has been seen. Later pushes are ignored. */
  get done(): boolean {
    return this.#done;
  }

  /** Bytes of the archive up to its end, end blocks included, what follows them not; so far, until `done`. */
  get endOffset(): number {
    return this.#position;
  }

  /** The next bytes of the archive. They are not kept. @throws data-loss */
  push(chunk: Uint8Array): void {
    this.#guard(() => this.#consume(chunk));
  }

  /** The archive has no more bytes. @throws data-loss when it ends inside a header or data */
  finish(): void {
    this.#guard(() => {
      const missing = this.#done ? 0 : this.#missingBytes();
      if (missing > 0) {
        throw new SociError(
          "data-loss",
          `Cannot read tar: it ends at byte ${this.#position}, want at least ${missing} bytes more`,
        );
      }
      this.#done = true;
    });
  }

  /** Bytes without which the archive may not end here: padding and end blocks may be missing. */
  #missingBytes(): number {
    if (this.#state === SKIP) {
      return Math.max(0, this.#skip - this.#padding);
    }
    const mayEnd = this.#state === HEADER || this.#state === SECOND_ZERO_BLOCK;
    return mayEnd && this.#filled === 0 ? 0 : this.#target.length - this.#filled;
  }

  #guard(step: () => void): void {
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
    try {
      step();
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  #consume(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.#done) {
      const left = chunk.length - at;
      if (this.#state === SKIP) {
        const length = Math.min(this.#skip, left);
        at += length;
        this.#position += length;
        this.#skip -= length;
        if (this.#skip === 0) {
          this.#collectBlock(HEADER);
        }
      } else {
        const length = Math.min(this.#target.length - this.#filled, left);
        this.#target.set(chunk.subarray(at, at + length), this.#filled);
        at += length;
        this.#position += length;
        this.#filled += length;
        if (this.#filled === this.#target.length) {
          this.#collected(this.#state);
        }
      }
    }
  }

  #collectBlock(state: State): void {
    this.#state = state;
    this.#target = this.#block;
    this.#filled = 0;
  }

  #startSkip(dataBytes: number, padding: number): void {
    this.#skip = dataBytes + padding;
    this.#padding = padding;
    if (this.#skip === 0) {
      this.#collectBlock(HEADER);
    } else {
      this.#state = SKIP;
    }
  }

  #collected(state: State): void {
    switch (state.kind) {
      case "header":
        this.#onHeaderBlock();
        return;
      case "second-zero-block":
        this.#onSecondZeroBlock();
        return;
      case "extension":
        this.#onExtension(state.header, state.offset);
        return;
      case "old-sparse-block":
        this.#onOldSparseBlock();
        return;
      case "map-block":
        this.#onMapBlock();
        return;
      case "skip":
        throw new Error("Cannot collect bytes of a tar: the scanner is skipping them");
    }
  }

  #onHeaderBlock(): void {
    if (isZeroBlock(this.#block)) {
      this.#collectBlock(SECOND_ZERO_BLOCK);
      return;
    }
    const offset = this.#position - BLOCK_BYTES;
    const header = decodeTarHeader(this.#block, offset);
    const bodyBytes = bodyBytesOf(header, offset);
    this.#assembler.addHeader(offset);
    if (isExtension(header.typeflag)) {
      this.#startExtension(header, offset, bodyBytes);
    } else {
      this.#onEntryHeader(header, offset);
    }
  }

  #onSecondZeroBlock(): void {
    if (!isZeroBlock(this.#block)) {
      throw new SociError(
        "data-loss",
        `Cannot read tar: block at byte ${this.#position - BLOCK_BYTES} follows a zero block and is not zero, want the archive's end`,
      );
    }
    this.#done = true;
  }

  #startExtension(header: TarHeader, offset: number, bodyBytes: bigint): void {
    if (bodyBytes > MAX_EXTENSION_BYTES) {
      throw new SociError(
        "data-loss",
        `Cannot read tar header at byte ${offset}: extension has ${bodyBytes} bytes, want at most ${MAX_EXTENSION_BYTES}`,
      );
    }
    const length = Number(bodyBytes);
    this.#padding = paddingOf(length);
    this.#state = { kind: "extension", header, offset };
    this.#target = length === 0 ? EMPTY : new Uint8Array(length);
    this.#filled = 0;
    if (length === 0) {
      this.#collected(this.#state);
    }
  }

  #onExtension(header: TarHeader, offset: number): void {
    const place = { offset, dataStart: this.#position };
    const entry = this.#assembler.addExtension(header, this.#target, place);
    if (entry !== undefined) {
      this.#onEntry(entry);
    }
    this.#startSkip(0, this.#padding);
  }

  #onEntryHeader(header: TarHeader, offset: number): void {
    const pending = this.#assembler.begin(header, offset);
    const { records, map, dataBytes } = pending;
    if (header.typeflag === TYPE_GNU_SPARSE) {
      this.#startOldSparse(pending, offset);
      return;
    }
    const format = paxSparseFormatOf(records);
    if (format === undefined) {
      this.#emit(pending, { storedSize: dataBytes });
      return;
    }
    header.name = paxSparseNameOf(records) ?? header.name;
    header.size = paxSparseSizeOf(records, offset) ?? header.size;
    if (isHeaderOnly(header.typeflag)) {
      throw invalidMap(offset, `belongs to an entry of type ${header.typeflag}, want a file`);
    }
    if (format === "0.x") {
      map.addRecords(records);
      this.#emit(pending, { storedSize: dataBytes, extents: map.extents(header.size) });
      return;
    }
    this.#map.reset();
    this.#mapLines = 0;
    this.#mapLinesWanted = undefined;
    this.#wantMapBlock(pending);
  }

  #startOldSparse(pending: PendingEntry, offset: number): void {
    const { header, map, dataBytes } = pending;
    const size = parseNumeric(this.#block, GNU.realSize.start, GNU.realSize.end);
    if (header.format !== "gnu" || size === undefined) {
      throw invalidMap(offset, "has no GNU header with the file's size");
    }
    header.size = size;
    if (map.addHeader(this.#block)) {
      this.#pending = pending;
      this.#collectBlock(OLD_SPARSE_BLOCK);
      return;
    }
    this.#emit(pending, { storedSize: dataBytes, extents: map.extents(size) });
  }

  #onOldSparseBlock(): void {
    const pending = this.#takePending();
    const { header, map, dataBytes } = pending;
    if (map.addBlock(this.#block)) {
      this.#pending = pending;
      this.#collectBlock(OLD_SPARSE_BLOCK);
      return;
    }
    this.#emit(pending, { storedSize: dataBytes, extents: map.extents(header.size) });
  }

  /** A pax 1.0 map stands at the start of the data: as many whole blocks as its lines take. */
  #wantMapBlock(pending: PendingEntry): void {
    const next = this.#map.offset + BLOCK_BYTES;
    if (next > Math.min(pending.dataBytes, MAX_EXTENSION_BYTES)) {
      throw invalidMap(
        pending.headerStart,
        `has no end in ${this.#map.offset} of ${pending.dataBytes} bytes`,
      );
    }
    this.#pending = pending;
    this.#collectBlock(MAP_BLOCK);
  }

  #onMapBlock(): void {
    const pending = this.#takePending();
    const { header, map } = pending;
    this.#map.bytes(this.#block);
    for (
      let at = this.#block.indexOf(NEWLINE);
      at >= 0;
      at = this.#block.indexOf(NEWLINE, at + 1)
    ) {
      this.#mapLines++;
    }
    const lines = this.#map.view();
    if (this.#mapLines > 0) {
      this.#mapLinesWanted ??= linesWanted(lines, pending.headerStart);
    }
    if (this.#mapLines < (this.#mapLinesWanted ?? 1)) {
      this.#wantMapBlock(pending);
      return;
    }
    map.addLines(lines);
    const storedSize = pending.dataBytes - lines.length;
    this.#emit(pending, { storedSize, extents: map.extents(header.size) });
  }

  #takePending(): PendingEntry {
    const pending = this.#pending;
    if (pending === undefined) {
      throw new Error("Cannot read a sparse map: no entry is waiting for one");
    }
    this.#pending = undefined;
    return pending;
  }

  #emit(pending: PendingEntry, place: Omit<DataPlace, "dataStart">): void {
    const { storedSize, extents } = place;
    this.#onEntry(completeEntry(pending, { dataStart: this.#position, storedSize, extents }));
    this.#startSkip(storedSize, pending.padding);
  }
}
