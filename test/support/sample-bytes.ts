/**
 * Bytes that compress about as files do, the same on every call: text of few words, runs, copies of
 * earlier parts at all distances, and noise.
 */
export function sampleBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed * 2_654_435_761 + 12_345;
  const next = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % limit;
  };
  const words = Array.from({ length: 300 }, () =>
    Array.from({ length: 1 + next(9) }, () => String.fromCharCode(97 + next(26))).join(""),
  );
  let at = 0;
  while (at < length) {
    const kind = next(10);
    const count = 1 + next(400);
    if (kind < 6) {
      for (let end = at + count; at < Math.min(end, length);)
        at += bytes.write(`${words[next(300)]} `, at);
    } else if (kind === 6) {
      bytes.fill(next(256), at, Math.min(at + count, length));
      at += count;
    } else if (kind === 7) {
      for (let end = Math.min(at + count, length); at < end; at++) bytes[at] = next(256);
    } else if (at > 0) {
      const from = at - 1 - next(Math.min(at, 32_768));
      for (let i = 0; i < count && at < length; i++, at++) bytes[at] = bytes[from + i] ?? 0;
    }
  }
  return bytes;
}
