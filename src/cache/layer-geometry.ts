import { SociError } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";
import { sysPread } from "../sys/libc.ts";
import { crc32 } from "./crc32.ts";
import {
  decodeGeometryHeader,
  DIGEST_BYTES,
  GEOMETRY_HEADER_BYTES,
  geometryCrc,
  type GeometryEncoding,
  geometryPlaces,
  type GeometryPlaces,
  WINDOW_BYTES,
} from "./geometry-format.ts";
import { checkGeometry } from "./check-geometry.ts";

/** 64 TiB at the usual span size; checkGeometry() bounds the rest. */
const MAX_SPANS = 1 << 24;

/**
 * Where each span of a layer lies, and how to check it. Only the records are in memory, 53 bytes a
 * span, in memory that threads share: `buffer` may be posted to another thread and opened there.
 * A window is read from the file when it is asked for.
 */
export class LayerGeometry {
  readonly buffer: SharedArrayBuffer;
  readonly encoding: GeometryEncoding;
  readonly spanCount: number;
  readonly compressedSize: number;
  readonly uncompressedSize: number;
  /** Tells this geometry from others of the same layer. */
  readonly crc: number;
  readonly #places: GeometryPlaces;
  readonly #compressedStart: Float64Array;
  readonly #uncompressedStart: Float64Array;
  readonly #windowCrc: Uint32Array;
  readonly #digests: Uint8Array;
  readonly #bits: Uint8Array;

  /** Takes checked memory, as `buffer` of another thread's geometry is. */
  constructor(buffer: SharedArrayBuffer) {
    const header = decodeGeometryHeader(new Uint8Array(buffer));
    const { spanCount } = header;
    const places = geometryPlaces(spanCount);
    this.buffer = buffer;
    this.encoding = header.encoding;
    this.spanCount = spanCount;
    this.compressedSize = header.compressedSize;
    this.uncompressedSize = header.uncompressedSize;
    this.crc = header.crc;
    this.#places = places;
    this.#compressedStart = new Float64Array(buffer, places.compressedStart, spanCount);
    this.#uncompressedStart = new Float64Array(buffer, places.uncompressedStart, spanCount);
    this.#windowCrc = new Uint32Array(buffer, places.windowCrc, spanCount);
    this.#digests = new Uint8Array(buffer, places.digest, DIGEST_BYTES * spanCount);
    this.#bits = new Uint8Array(buffer, places.bits, spanCount);
  }

  /** Decodes the head of a geometry file: header and records. @throws data-loss */
  static decode(head: Uint8Array): LayerGeometry {
    const size = LayerGeometry.#headSize(head);
    if (head.length < size) {
      throw damaged(`it has ${head.length} bytes, want ${size} or more`);
    }
    const buffer = new SharedArrayBuffer(size);
    new Uint8Array(buffer).set(head.subarray(0, size));
    return LayerGeometry.#checked(buffer);
  }

  /** Reads a geometry file of `fileSize` bytes. @throws data-loss */
  static read(fd: number, fileSize: number): LayerGeometry {
    const header = new Uint8Array(GEOMETRY_HEADER_BYTES);
    readAt(fd, header, 0);
    const size = LayerGeometry.#headSize(header);
    if (fileSize < size) throw damaged(`it has ${fileSize} bytes, want ${size} or more`);
    const buffer = new SharedArrayBuffer(size);
    readAt(fd, new Uint8Array(buffer), 0);
    const geometry = LayerGeometry.#checked(buffer);
    if (fileSize !== geometry.fileSize) {
      throw damaged(`it has ${fileSize} bytes, want ${geometry.fileSize}`);
    }
    return geometry;
  }

  static #headSize(header: Uint8Array): number {
    const { spanCount } = decodeGeometryHeader(header);
    if (spanCount > MAX_SPANS) throw damaged(`it has ${spanCount} spans, want <= ${MAX_SPANS}`);
    return geometryPlaces(spanCount).end;
  }

  static #checked(buffer: SharedArrayBuffer): LayerGeometry {
    const geometry = new LayerGeometry(buffer);
    const crc = geometryCrc(new Uint8Array(buffer));
    if (crc !== geometry.crc) throw damaged(`its CRC is ${crc}, want ${geometry.crc}`);
    const fault = checkGeometry(geometry);
    if (fault !== undefined) throw damaged(fault);
    return geometry;
  }

  /** Bytes of the whole file, windows included. */
  get fileSize(): number {
    if (this.encoding !== "gzip") return this.#places.end;
    return this.#places.windows + WINDOW_BYTES * this.spanCount;
  }

  /** Bytes of the layer's data: the end of its last span, which may lie behind the end of the tar. */
  get dataSize(): number {
    return this.spanCount === 0 ? 0 : this.uncompressedEnd(this.spanCount - 1);
  }

  /** Last span that starts at or before the uncompressed offset. */
  spanOf(uncompressedOffset: number): number {
    const starts = this.#uncompressedStart;
    let low = 0;
    let high = this.spanCount - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= uncompressedOffset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  compressedStart(span: number): number {
    return this.#compressedStart[span] ?? 0;
  }

  /** A byte that two spans share belongs to both. */
  compressedEnd(span: number): number {
    if (span + 1 >= this.spanCount) return this.compressedSize;
    return (this.#compressedStart[span + 1] ?? 0) + (this.bits(span + 1) > 0 ? 1 : 0);
  }

  uncompressedStart(span: number): number {
    return this.#uncompressedStart[span] ?? 0;
  }

  /** Never before the span's start: the last span may have nothing in the tar. */
  uncompressedEnd(span: number): number {
    if (span + 1 < this.spanCount) return this.#uncompressedStart[span + 1] ?? 0;
    return Math.max(this.#uncompressedStart[span] ?? 0, this.uncompressedSize);
  }

  uncompressedLength(span: number): number {
    return this.uncompressedEnd(span) - this.uncompressedStart(span);
  }

  /** How many high bits of the span's first byte belong to it; 0: it starts with a whole byte. */
  bits(span: number): number {
    return this.#bits[span] ?? 0;
  }

  /** sha256 of the span's compressed bytes; 32 zeros in a "whole" layer. A view. */
  digestBytes(span: number): Uint8Array {
    return this.#digests.subarray(DIGEST_BYTES * span, DIGEST_BYTES * (span + 1));
  }

  digest(span: number): Digest {
    return `sha256:${Buffer.from(this.digestBytes(span)).toString("hex")}` as Digest;
  }

  /** Reads a gzip span's window from its geometry file into 32 KiB at `into`. @throws data-loss when it is damaged */
  readWindow(fd: number, span: number, into: Uint8Array): void {
    const window = into.subarray(0, WINDOW_BYTES);
    readAt(fd, window, this.#places.windows + WINDOW_BYTES * span);
    const crc = crc32(window);
    if (crc !== this.#windowCrc[span]) {
      throw damaged(`the CRC of window ${span} is ${crc}, want ${this.#windowCrc[span]}`);
    }
  }
}

function readAt(fd: number, into: Uint8Array, offset: number): void {
  for (let done = 0; done < into.length;) {
    const count = sysPread(fd, into.subarray(done), offset + done);
    if (count <= 0) {
      throw damaged(
        `${into.length} bytes at byte ${offset} cannot be read: ${count < 0 ? `errno ${-count}` : "it ends before"}`,
      );
    }
    done += count;
  }
}

function damaged(fault: string): SociError {
  return new SociError("data-loss", `Cannot use layer geometry: ${fault}`);
}
