import { ByteCursor } from "../bytes/byte-cursor.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { SociError } from "../errors.ts";
import { crc32 } from "./crc32.ts";

/** How the spans of a layer are had: "whole" ones only all at once, from the start of the blob. */
const GEOMETRY_ENCODINGS = ["gzip", "tar", "whole"] as const;
export type GeometryEncoding = (typeof GEOMETRY_ENCODINGS)[number];

const MAGIC = 0x4f45_4753; // "SGEO"
/** 2: before, a layer that came by a zTOC bore the name of one that was read whole. */
const VERSION = 2;
export const GEOMETRY_HEADER_BYTES = 64;
const CRC_OFFSET = 40;
const WINDOWS_ALIGNMENT = 4096;

export interface GeometryHeader {
  readonly encoding: GeometryEncoding;
  readonly spanCount: number;
  readonly compressedSize: number;
  readonly uncompressedSize: number;
  /** CRC of the rest of the header and the records. */
  readonly crc: number;
}

/** Places of the record arrays in a geometry file: one array a field, so that they can be typed arrays. */
export interface GeometryPlaces {
  readonly compressedStart: number;
  readonly uncompressedStart: number;
  readonly windowCrc: number;
  readonly digest: number;
  readonly bits: number;
  /** End of the records. */
  readonly end: number;
  /** Where the windows of gzip layers begin; nothing is there for others. */
  readonly windows: number;
}

export const DIGEST_BYTES = 32;
/** What deflate can look back to, RFC 1951: the state of a decompressor at the start of a span. */
export const WINDOW_BYTES = 32_768;

/** Where things are in the geometry of so many spans. */
export function geometryPlaces(spanCount: number): GeometryPlaces {
  const compressedStart = GEOMETRY_HEADER_BYTES;
  const uncompressedStart = compressedStart + 8 * spanCount;
  const windowCrc = uncompressedStart + 8 * spanCount;
  const digest = windowCrc + 4 * spanCount;
  const bits = digest + DIGEST_BYTES * spanCount;
  const end = bits + spanCount;
  const windows = Math.ceil(end / WINDOWS_ALIGNMENT) * WINDOWS_ALIGNMENT;
  return { compressedStart, uncompressedStart, windowCrc, digest, bits, end, windows };
}

/** Writes the header in front of finished records, with the CRC of both. */
export function sealGeometry(head: Uint8Array, header: Omit<GeometryHeader, "crc">): void {
  const writer = new ByteWriter(GEOMETRY_HEADER_BYTES);
  writer.u32le(MAGIC);
  writer.u32le(VERSION);
  writer.u32le(GEOMETRY_ENCODINGS.indexOf(header.encoding));
  writer.u32le(header.spanCount);
  writer.sizeLe(header.compressedSize);
  writer.sizeLe(header.uncompressedSize);
  head.set(writer.view());
  const seal = new ByteWriter(4);
  seal.u32le(geometryCrc(head));
  head.set(seal.view(), CRC_OFFSET);
}

/** CRC of header and records, the place of the CRC itself left out. */
export function geometryCrc(head: Uint8Array): number {
  return crc32(head.subarray(GEOMETRY_HEADER_BYTES), crc32(head.subarray(0, CRC_OFFSET)));
}

/** Reads a header; the CRC is not checked. @throws data-loss */
export function decodeGeometryHeader(bytes: Uint8Array): GeometryHeader {
  const cursor = new ByteCursor(bytes, "layer geometry");
  const magic = cursor.u32le("magic");
  const version = cursor.u32le("version");
  if (magic !== MAGIC || version !== VERSION) {
    throw new SociError(
      "data-loss",
      `Cannot decode layer geometry: it starts with ${magic.toString(16)}, version ${version}, want ${MAGIC.toString(16)}, ${VERSION}`,
    );
  }
  const code = cursor.u32le("encoding");
  const encoding = GEOMETRY_ENCODINGS[code];
  if (encoding === undefined) {
    throw new SociError(
      "data-loss",
      `Cannot decode layer geometry: encoding is ${code}, want 0 to 2`,
    );
  }
  const spanCount = cursor.u32le("span count");
  const compressedSize = cursor.sizeLe("compressed size");
  const uncompressedSize = cursor.sizeLe("uncompressed size");
  return { encoding, spanCount, compressedSize, uncompressedSize, crc: cursorCrc(cursor) };
}

function cursorCrc(cursor: ByteCursor): number {
  cursor.seek(CRC_OFFSET, "CRC");
  return cursor.u32le("CRC");
}
