import { constants, crc32, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { sampleBytes } from "../support/sample-bytes.ts";

export interface GzipFields {
  readonly extra?: Uint8Array;
  readonly name?: string;
  readonly comment?: string;
  /** Whether the header has a checksum of its own. */
  readonly headerCrc?: boolean;
}

/** One gzip member with chosen header fields. https://www.rfc-editor.org/rfc/rfc1952 */
export function gzipMember(
  data: Uint8Array,
  { extra, name, comment, headerCrc = false }: GzipFields = {},
  options: Parameters<typeof deflateRawSync>[1] = {},
): Buffer {
  const flags =
    (headerCrc ? 2 : 0) +
    (extra === undefined ? 0 : 4) +
    (name === undefined ? 0 : 8) +
    (comment === undefined ? 0 : 16);
  const parts: Buffer[] = [Buffer.from([0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3])];
  if (extra !== undefined) parts.push(uint16(extra.length), Buffer.from(extra));
  if (name !== undefined) parts.push(Buffer.from(`${name}\0`, "latin1"));
  if (comment !== undefined) parts.push(Buffer.from(`${comment}\0`, "latin1"));
  if (headerCrc) parts.push(uint16(crc32(Buffer.concat(parts)) & 0xffff));
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(data), 0);
  trailer.writeUInt32LE(data.length, 4);
  return Buffer.concat([...parts, deflateRawSync(data, options), trailer]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

/** Files of all shapes: one member and many, every header field, all kinds of blocks, zlib streams. */
export const GZIP_SAMPLES: readonly Buffer[] = [
  gzipSync(sampleBytes(20_000)),
  gzipSync(sampleBytes(70_000, 2), { level: 1, memLevel: 1 }),
  gzipSync(Buffer.alloc(0)),
  gzipSync(sampleBytes(2000, 3), { level: 0 }),
  gzipSync(sampleBytes(3000, 4), { strategy: constants.Z_FIXED }),
  gzipMember(sampleBytes(500), {
    extra: sampleBytes(70),
    name: "a",
    comment: "b",
    headerCrc: true,
  }),
  gzipMember(sampleBytes(500), { extra: new Uint8Array(0), name: "", headerCrc: true }),
  gzipMember(sampleBytes(100), { extra: sampleBytes(65_535), name: "n".repeat(2000) }),
  Buffer.concat([1, 2, 3, 4].map((seed) => gzipSync(sampleBytes(700 * seed, seed)))),
  Buffer.concat([
    gzipSync(Buffer.alloc(0)),
    gzipSync(sampleBytes(40_000, 5)),
    gzipMember(sampleBytes(9), { headerCrc: true }),
  ]),
  deflateSync(sampleBytes(5000, 6)),
  Buffer.concat([gzipSync(sampleBytes(300)), deflateSync(sampleBytes(300))]),
];
