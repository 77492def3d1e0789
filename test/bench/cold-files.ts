import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";

/** A small file of a layer that lies in one span, with no other such file in it. */
export interface ColdFile {
  readonly path: string;
  readonly size: number;
  /** Of its span in the layer's blob. */
  readonly compressedStart: number;
  readonly compressedEnd: number;
}

export interface ColdFilesOptions {
  /** About this size: from half of it to twice as much. */
  readonly size: number;
  /** Of these all, spread evenly, where there are more. */
  readonly most: number;
}

const PLAIN_NAME = /^[\w+./-]+$/;

/**
 * One file a span, in an order in which none is near the one before: nothing that was fetched for
 * one, or ahead of it, is of use to another.
 */
export function coldFiles(
  ztocBytes: Uint8Array,
  { size, most }: ColdFilesOptions,
): readonly ColdFile[] {
  const ztoc = decodeZtoc(ztocBytes);
  const bySpan = new Map<number, ColdFile & { readonly distance: number }>();
  for (const { type, name, uncompressedOffset, uncompressedSize } of ztoc.files) {
    if (type !== "reg" || uncompressedSize < size / 2 || uncompressedSize > size * 2) continue;
    const path = new TextDecoder().decode(name);
    const span = ztoc.zinfo.spanOf(uncompressedOffset);
    const isWhole = span === ztoc.zinfo.spanOf(uncompressedOffset + uncompressedSize - 1);
    if (!isWhole || !PLAIN_NAME.test(path)) continue;
    const distance = Math.abs(uncompressedSize - size);
    if (distance >= (bySpan.get(span)?.distance ?? Number.POSITIVE_INFINITY)) continue;
    const { compressedStart, compressedEnd } = ztoc.zinfo.rangeOf(span, ztoc);
    bySpan.set(span, { path, size: uncompressedSize, compressedStart, compressedEnd, distance });
  }
  const inOrder = [...bySpan.values()].toSorted((a, b) => a.compressedStart - b.compressedStart);
  const count = Math.min(most, inOrder.length);
  const picked = Array.from(
    { length: count },
    (_, i) => inOrder[Math.floor((i * inOrder.length) / count)],
  );
  return apart(picked.flatMap((file) => file ?? []));
}

/** The largest regular file of a layer that is not above `most` bytes, and where its spans lie. */
export function largestFile(ztocBytes: Uint8Array, { most }: { readonly most: number }): ColdFile {
  const ztoc = decodeZtoc(ztocBytes);
  let largest: ColdFile | undefined;
  for (const { type, name, uncompressedOffset, uncompressedSize } of ztoc.files) {
    if (type !== "reg" || uncompressedSize > most) continue;
    if (uncompressedSize <= (largest?.size ?? 0)) continue;
    const first = ztoc.zinfo.spanOf(uncompressedOffset);
    const last = ztoc.zinfo.spanOf(uncompressedOffset + uncompressedSize - 1);
    largest = {
      path: new TextDecoder().decode(name),
      size: uncompressedSize,
      compressedStart: ztoc.zinfo.rangeOf(first, ztoc).compressedStart,
      compressedEnd: ztoc.zinfo.rangeOf(last, ztoc).compressedEnd,
    };
  }
  if (largest === undefined) throw new Error(`the layer has no file of at most ${most} bytes`);
  return largest;
}

/** In strides of about the golden ratio: each is far from its neighbours in time. */
function apart<T>(items: readonly T[]): readonly T[] {
  const { length } = items;
  let stride = Math.max(1, Math.round(length * 0.382));
  while (greatestDivisor(stride, length) > 1) stride += 1;
  return items.flatMap((_, i) => items[(i * stride) % length] ?? []);
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
