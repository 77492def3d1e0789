import type { LayerFiles } from "./layer-files.ts";
import { type Damage, DAMAGED, LayerReader, READ_SLACK_BYTES } from "./layer-reader.ts";
import { CRC_BLOCK_BYTES } from "./crc-blocks.ts";

const STEP_BYTES = 64 * CRC_BLOCK_BYTES;

/** Reads a present span from front to back; the first block of it that is wrong, or undefined. */
export function findDamage(files: LayerFiles, span: number): Damage | undefined {
  const { geometry } = files;
  const reader = new LayerReader(files);
  const start = geometry.uncompressedStart(span);
  const end = geometry.uncompressedEnd(span);
  const bytes = new Uint8Array(STEP_BYTES + 2 * READ_SLACK_BYTES);
  for (let offset = start; offset < end; offset += STEP_BYTES) {
    const until = Math.min(offset + STEP_BYTES, end);
    const count = reader.read(offset, until, bytes, READ_SLACK_BYTES);
    if (count === DAMAGED) return reader.damaged;
    if (count < 0) return undefined;
  }
  return undefined;
}
