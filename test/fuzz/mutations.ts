import fc from "fast-check";

/** One change to a byte string. Places are fractions of its length, so that they fit any string. */
type Mutation = (bytes: Uint8Array) => Uint8Array;

const place = fc.double({ min: 0, max: 1, noNaN: true });
const shortLength = fc.oneof(
  { weight: 4, arbitrary: fc.nat(8) },
  { weight: 2, arbitrary: fc.nat(600) },
  { weight: 1, arbitrary: fc.nat(70_000) },
);

/** Numbers at which decoders go wrong, little- and big-endian, in 1 to 8 bytes. */
const awkwardNumber = fc
  .record({
    value: fc.oneof(
      fc.constantFrom(0n, 1n, -1n, 7n, 8n, 127n, 128n, 255n, 256n, 511n, 512n, 513n),
      fc.constantFrom(32767n, 32768n, 65535n, 65536n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n),
      fc.constantFrom(2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)),
      fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
    ),
    size: fc.constantFrom(1, 2, 4, 8),
    bigEndian: fc.boolean(),
  })
  .map(({ value, size, bigEndian }) => {
    const bytes = Array.from({ length: size }, (_, i) =>
      Number(BigInt.asUintN(8, value >> BigInt(8 * i))),
    );
    return Uint8Array.from(bigEndian ? bytes.reverse() : bytes);
  });

/**
 * Byte strings made of `seeds` by up to `most` changes: bits flipped, bytes and numbers overwritten,
 * ranges cut out, doubled, moved in from another seed, the end cut off.
 */
export function mutationsOf(seeds: readonly Uint8Array[], most = 6): fc.Arbitrary<Uint8Array> {
  const seed = fc.constantFrom(...seeds);
  return fc
    .tuple(seed, fc.array(mutationWith(seed), { maxLength: most }))
    .map(([bytes, mutations]) =>
      // A copy that is no Buffer: slice() of those shares memory, and seeds must stay as they are.
      mutations.reduce((now, mutate) => new Uint8Array(mutate(now)), new Uint8Array(bytes)),
    );
}

function mutationWith(seed: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Mutation> {
  const flip = fc.tuple(place, fc.nat(7)).map(
    ([at, bit]): Mutation =>
      (bytes) =>
        overwrite(bytes, at, (old) => [old ^ (1 << bit)]),
  );
  const set = fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 4 })).map(
    ([at, value]): Mutation =>
      (bytes) =>
        overwrite(bytes, at, () => value),
  );
  const number = fc.tuple(place, awkwardNumber).map(
    ([at, value]): Mutation =>
      (bytes) =>
        overwrite(bytes, at, () => value),
  );
  const remove = fc.tuple(place, shortLength).map(
    ([at, length]): Mutation =>
      (bytes) =>
        splice(bytes, at, length, new Uint8Array(0)),
  );
  const repeat = fc
    .tuple(place, place, shortLength)
    .map(([to, from, length]): Mutation => (bytes) => {
      const start = indexOf(bytes, from);
      return splice(bytes, to, 0, bytes.subarray(start, start + length));
    });
  const borrow = fc
    .tuple(seed, place, place, shortLength)
    .map(([other, to, from, length]): Mutation => (bytes) => {
      const start = indexOf(other, from);
      return splice(bytes, to, length, other.subarray(start, start + length));
    });
  const append = seed.map(
    (other): Mutation =>
      (bytes) =>
        Buffer.concat([bytes, other]),
  );
  const cut = place.map(
    (at): Mutation =>
      (bytes) =>
        bytes.subarray(0, indexOf(bytes, at)),
  );
  return fc.oneof(
    { weight: 6, arbitrary: flip },
    { weight: 4, arbitrary: set },
    { weight: 4, arbitrary: number },
    { weight: 2, arbitrary: remove },
    { weight: 2, arbitrary: repeat },
    { weight: 2, arbitrary: borrow },
    { weight: 1, arbitrary: append },
    { weight: 1, arbitrary: cut },
  );
}

function indexOf(bytes: Uint8Array, at: number): number {
  return Math.min(bytes.length, Math.floor(at * (bytes.length + 1)));
}

function overwrite(
  bytes: Uint8Array,
  at: number,
  value: (old: number) => ArrayLike<number>,
): Uint8Array {
  const changed = bytes.slice();
  const start = indexOf(bytes, at);
  const fresh = value(bytes[start] ?? 0);
  for (let i = 0; i < fresh.length && start + i < changed.length; i++) {
    changed[start + i] = fresh[i] ?? 0;
  }
  return changed;
}

function splice(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array {
  const start = indexOf(bytes, at);
  return Buffer.concat([bytes.subarray(0, start), insert, bytes.subarray(start + remove)]);
}
