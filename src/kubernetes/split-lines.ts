import { SociError } from "../errors.ts";

const NEWLINE = 0x0a;

/** The lines of a stream without their ends, the last one too if it has none. Empty lines are left out. @throws data-loss for a line of over `maxBytes` */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  { maxBytes, what }: { readonly maxBytes: number; readonly what: string },
): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let size = 0;
  const add = (part: Uint8Array): void => {
    size += part.length;
    if (size > maxBytes) {
      throw new SociError("data-loss", `Cannot read ${what}: a line has over ${maxBytes} bytes`);
    }
    // The chunk's memory may be used again.
    if (part.length > 0) parts.push(part.slice());
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      add(chunk.subarray(start, end));
      start = end + 1;
      if (size > 0) yield Buffer.concat(parts);
      parts = [];
      size = 0;
    }
    add(chunk.subarray(start));
  }
  if (size > 0) yield Buffer.concat(parts);
}
