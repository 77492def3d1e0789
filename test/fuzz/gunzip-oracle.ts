import { crc32, inflateRawSync } from "node:zlib";

/**
 * What a file of gzip members holds, by RFC 1952 and node:zlib, slowly and plainly: undefined for
 * anything but whole members one after another. zlib streams count as members, as they do in zlib.
 */
export function gunzipOracle(bytes: Uint8Array): Buffer | undefined {
  const parts: Buffer[] = [];
  let rest: Buffer = Buffer.from(bytes);
  do {
    const member = readMember(rest);
    if (member === undefined) return undefined;
    parts.push(member.data);
    rest = member.rest;
  } while (rest.length > 0);
  return Buffer.concat(parts);
}

interface Member {
  readonly data: Buffer;
  readonly rest: Buffer;
}

function readMember(bytes: Buffer): Member | undefined {
  const header = gzipHeaderBytes(bytes) ?? zlibHeaderBytes(bytes);
  if (header === undefined) return undefined;
  const body = inflate(bytes.subarray(header));
  if (body === undefined) return undefined;
  const after = bytes.subarray(header + body.used);
  if (bytes[0] === 0x1f) {
    if (after.length < 8) return undefined;
    const isRight =
      after.readUInt32LE(0) === crc32(body.data) &&
      after.readUInt32LE(4) === body.data.length % 2 ** 32;
    return isRight ? { data: body.data, rest: after.subarray(8) } : undefined;
  }
  if (after.length < 4) return undefined;
  return after.readUInt32BE(0) === adler(body.data)
    ? { data: body.data, rest: after.subarray(4) }
    : undefined;
}

function gzipHeaderBytes(bytes: Buffer): number | undefined {
  const flags = bytes[3] ?? 0;
  if (bytes.length < 10 || bytes.readUInt16BE(0) !== 0x1f8b || bytes[2] !== 8 || flags > 0x1f) {
    return undefined;
  }
  let at = 10;
  if ((flags & 4) !== 0) {
    if (bytes.length < at + 2) return undefined;
    at += 2 + bytes.readUInt16LE(at);
  }
  for (const flag of [8, 16]) {
    if ((flags & flag) === 0) continue;
    const end = bytes.indexOf(0, at);
    if (end < 0) return undefined;
    at = end + 1;
  }
  if ((flags & 2) !== 0) {
    const isRight =
      bytes.length >= at + 2 && bytes.readUInt16LE(at) === (crc32(bytes.subarray(0, at)) & 0xffff);
    if (!isRight) return undefined;
    at += 2;
  }
  return at <= bytes.length ? at : undefined;
}

function zlibHeaderBytes(bytes: Buffer): number | undefined {
  if (bytes.length < 2) return undefined;
  const [first = 0, second = 0] = bytes;
  const isRight =
    (first & 15) === 8 &&
    first >> 4 <= 7 &&
    bytes.readUInt16BE(0) % 31 === 0 &&
    (second & 32) === 0;
  return isRight ? 2 : undefined;
}

/** Data, and how many bytes of input it took. */
function inflate(bytes: Buffer): { readonly data: Buffer; readonly used: number } | undefined {
  try {
    // With `info` it returns more than its type says.
    const { buffer, engine } = inflateRawSync(bytes, { info: true }) as unknown as {
      readonly buffer: Buffer;
      readonly engine: { readonly bytesWritten: number };
    };
    return { data: buffer, used: engine.bytesWritten };
  } catch {
    return undefined;
  }
}

function adler(bytes: Buffer): number {
  let a = 1;
  let b = 0;
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return b * 65536 + a;
}
