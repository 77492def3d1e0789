const U32 = 0x1_0000_0000;

/** Writes a safe integer, which may be negative, as 64 bits in two words, the lower first. */
export function putI64(words: Uint32Array, at: number, value: number): void {
  const high = Math.floor(value / U32);
  words[at] = value - high * U32;
  words[at + 1] = high;
}

/** Reads 64 bits as a number of 0 or more; above 2^53 it is not exact. */
export function getU64(words: Uint32Array, at: number): number {
  return (words[at + 1] ?? 0) * U32 + (words[at] ?? 0);
}

/** Reads 64 bits as a signed number. */
export function getI64(words: Uint32Array, at: number): number {
  return ((words[at + 1] ?? 0) | 0) * U32 + (words[at] ?? 0);
}
