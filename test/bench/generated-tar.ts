import { randomFillSync } from "node:crypto";

const BLOCK_BYTES = 512;
const CHUNK_BYTES = 1024 * 1024;
const END_BYTES = 2 * BLOCK_BYTES;

/** A tar of so many files of a line of text each, named as a node_modules folder names them. */
export function* tinyFilesTar(count: number): Generator<Uint8Array> {
  let chunk = Buffer.alloc(CHUNK_BYTES);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const text = `export const n${i} = ${i};\n`;
    const folder = Math.floor(i / 1000);
    const name = `app/node_modules/package-${folder}/lib/part-${Math.floor(i / 20) % 50}/file-${i}.js`;
    writeHeader(chunk, at, { name, size: text.length });
    chunk.write(text, at + BLOCK_BYTES, "latin1");
    at += 2 * BLOCK_BYTES;
    if (at < CHUNK_BYTES) continue;
    yield chunk;
    // Streams hold on to what they were given.
    chunk = Buffer.alloc(CHUNK_BYTES);
    at = 0;
  }
  yield chunk.subarray(0, at);
  yield new Uint8Array(END_BYTES);
}

/** A tar of so many files of a MiB of noise each, which nothing can compress. */
export function* noiseTar(folder: string, count: number): Generator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    const chunk = Buffer.alloc(BLOCK_BYTES + CHUNK_BYTES);
    writeHeader(chunk, 0, { name: `${folder}/noise-${i}.bin`, size: CHUNK_BYTES });
    randomFillSync(chunk, BLOCK_BYTES);
    yield chunk;
  }
  yield new Uint8Array(END_BYTES);
}

/** https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06 */
function writeHeader(
  target: Buffer,
  at: number,
  { name, size }: { readonly name: string; readonly size: number },
): void {
  target.write(name, at, "latin1");
  target.write("0000644\0" + "0000000\0" + "0000000\0", at + 100, "latin1");
  target.write(`${size.toString(8).padStart(11, "0")}\0`, at + 124, "latin1");
  target.write("14000000000\0" + "        " + "0", at + 136, "latin1");
  target.write("ustar\x0000", at + 257, "latin1");
  let sum = 0;
  for (let i = at; i < at + BLOCK_BYTES; i++) sum += target[i] ?? 0;
  target.write(`${sum.toString(8).padStart(6, "0")}\0 `, at + 148, "latin1");
}
