import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";

/** A file of a layer, and the spans that hold it. */
export interface SampleFile {
  readonly path: string;
  readonly size: number;
  readonly spans: number;
  /** Compressed bytes of these spans. */
  readonly spanBytes: number;
}

const PLAIN_NAME = /^[\w+./-]+$/;
const TOLERANCE = 0.1;

/** Files of about `size` bytes, spread evenly over a layer. */
export function sampleFiles(
  ztocBytes: Uint8Array,
  { size, count }: { readonly size: number; readonly count: number },
): readonly SampleFile[] {
  const ztoc = decodeZtoc(ztocBytes);
  const fitting: SampleFile[] = [];
  for (const { type, name, uncompressedOffset, uncompressedSize } of ztoc.files) {
    if (type !== "reg" || Math.abs(uncompressedSize / size - 1) > TOLERANCE) continue;
    const path = new TextDecoder().decode(name);
    if (!PLAIN_NAME.test(path)) continue;
    const first = ztoc.zinfo.spanOf(uncompressedOffset);
    const last = ztoc.zinfo.spanOf(uncompressedOffset + uncompressedSize - 1);
    const { compressedStart } = ztoc.zinfo.rangeOf(first, ztoc);
    const { compressedEnd } = ztoc.zinfo.rangeOf(last, ztoc);
    fitting.push({
      path,
      size: uncompressedSize,
      spans: last - first + 1,
      spanBytes: compressedEnd - compressedStart,
    });
  }
  if (fitting.length === 0) throw new Error(`the layer has no file of about ${size} bytes`);
  return Array.from({ length: count }, (_, i) => {
    const file = fitting[Math.floor(((i + 0.5) * fitting.length) / count)];
    if (file === undefined) throw new Error("an index past the end of the list");
    return file;
  });
}
