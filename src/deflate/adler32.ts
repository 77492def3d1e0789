const BASE = 65521;
/** Bytes after which the sums could pass 2^32 (RFC 1950, 8.2). */
const RUN_BYTES = 5552;

/** Adler-32 of `bytes`, continuing from `value` (1 at the start). */
export function adler32(bytes: Uint8Array, value = 1): number {
  let a = value & 0xffff;
  let b = value >>> 16;
  for (let start = 0; start < bytes.length; start += RUN_BYTES) {
    const end = Math.min(bytes.length, start + RUN_BYTES);
    for (let i = start; i < end; i++) {
      a += bytes[i] ?? 0;
      b += a;
    }
    a %= BASE;
    b %= BASE;
  }
  return ((b << 16) | a) >>> 0;
}
