import { ByteCursor } from "../bytes/byte-cursor.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { crcBlocksOf, crcIndexOf, crcTableLength } from "./crc-blocks.ts";
import { crc32 } from "./crc32.ts";
import type { LayerGeometry } from "./layer-geometry.ts";

const MAGIC = 0x504d_4f53; // "SOMP"
const VERSION = 1;
export const MAP_HEADER_BYTES = 64;
const CRC_OFFSET = 48;

/** The data file that a map speaks about, as fstat(2) names it. */
export interface DataIdentity {
  readonly inode: bigint;
  readonly size: number;
}

export interface DurableMap {
  readonly epoch: readonly [number, number];
  /** 1 for each span whose data and CRCs were on disk when this was written. */
  readonly presence: Uint8Array;
  readonly crcs: Uint32Array;
}

/** Places in a map file: header, a byte a span, the CRC table. */
export function durableMapPlaces({ spanCount, dataSize }: LayerGeometry): {
  readonly presence: number;
  readonly crcs: number;
  readonly end: number;
} {
  const crcs = Math.ceil((MAP_HEADER_BYTES + spanCount) / 8) * 8;
  return { presence: MAP_HEADER_BYTES, crcs, end: crcs + 4 * crcTableLength(spanCount, dataSize) };
}

/** Bytes of a map file. */
export function encodeDurableMap(
  geometry: LayerGeometry,
  data: DataIdentity,
  { epoch, presence, crcs }: DurableMap,
): Uint8Array {
  const places = durableMapPlaces(geometry);
  const bytes = new Uint8Array(places.end);
  bytes.set(encodeHeader(geometry, data, epoch));
  bytes.set(presence, places.presence);
  new Uint32Array(bytes.buffer, places.crcs, crcs.length).set(crcs);
  return bytes;
}

/** Reads a map file; undefined when it is damaged or speaks about other data: then nothing is known. */
export function decodeDurableMap(
  bytes: Uint8Array,
  geometry: LayerGeometry,
  data: DataIdentity,
): DurableMap | undefined {
  const places = durableMapPlaces(geometry);
  if (bytes.length !== places.end) return undefined;
  const epoch = decodeMapEpoch(bytes.subarray(0, MAP_HEADER_BYTES), geometry, data);
  if (epoch === undefined) return undefined;
  const crcs = new Uint32Array((places.end - places.crcs) / 4);
  new Uint8Array(crcs.buffer).set(bytes.subarray(places.crcs));
  return {
    epoch,
    presence: bytes.slice(places.presence, places.presence + geometry.spanCount),
    crcs,
  };
}

/** The epoch in the header of a map file, or undefined as decodeDurableMap(). */
export function decodeMapEpoch(
  header: Uint8Array,
  geometry: LayerGeometry,
  data: DataIdentity,
): DurableMap["epoch"] | undefined {
  const cursor = new ByteCursor(header, "cache map");
  cursor.skip(8, "magic and version");
  const epoch = [cursor.u32le("epoch"), cursor.u32le("epoch")] as const;
  // All but the epoch is known: the header is right when it is the one that would be written.
  return Buffer.from(encodeHeader(geometry, data, epoch)).equals(header) ? epoch : undefined;
}

/** A span's part of a CRC table: [start, end). */
export function crcRangeOf(
  geometry: LayerGeometry,
  span: number,
): { readonly start: number; readonly end: number } {
  const start = crcIndexOf(span, geometry.uncompressedStart(span));
  return { start, end: start + crcBlocksOf(geometry.uncompressedLength(span)) };
}

function encodeHeader(
  geometry: LayerGeometry,
  data: DataIdentity,
  epoch: readonly [number, number],
): Uint8Array {
  const writer = new ByteWriter(MAP_HEADER_BYTES);
  writer.u32le(MAGIC);
  writer.u32le(VERSION);
  for (const word of epoch) writer.u32le(word);
  writer.u32le(geometry.crc);
  writer.u32le(geometry.spanCount);
  writer.i64le(BigInt.asIntN(64, data.inode));
  writer.sizeLe(data.size);
  writer.bytes(new Uint8Array(CRC_OFFSET - writer.offset));
  writer.u32le(crc32(writer.view()));
  writer.bytes(new Uint8Array(MAP_HEADER_BYTES - writer.offset));
  return writer.take();
}
