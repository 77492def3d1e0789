import { MISS } from "../cache/layer-reader.ts";
import type { MemorySpans } from "./memory-spans.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";

export interface ReadRange {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
  readonly at: number;
}

/**
 * Puts the uncompressed bytes [start, end) of a layer to `bytes[at]` and on, as LayerReader.read()
 * does, also out of spans that are being filled, and of those kept in memory.
 */
export function readRange(
  layer: ScheduledLayer,
  memory: MemorySpans,
  { start, end, bytes, at }: ReadRange,
): number {
  const { reader, geometry } = layer;
  const whole = reader.read(start, end, bytes, at);
  if (whole !== MISS) return whole;
  // Blocks end with their span: what one part writes beside its own is not another's.
  for (let from = start; from < end;) {
    const span = geometry.spanOf(from);
    const to = Math.min(end, geometry.uncompressedEnd(span));
    const part = { start: from, end: to, bytes, at: at + from - start };
    const count = readPart(layer, span, memory.get(layer.id, span, from, to), part);
    if (count < 0) return count;
    from = to;
  }
  return end - start;
}

function readPart(
  layer: ScheduledLayer,
  span: number,
  kept: Uint8Array | undefined,
  { start, end, bytes, at }: ReadRange,
): number {
  if (kept !== undefined) {
    bytes.set(kept, at);
    return end - start;
  }
  const reached = layer.tasks.get(span)?.fill?.reached ?? 0;
  return reached >= end
    ? layer.reader.readFilled(start, end, bytes, at)
    : layer.reader.read(start, end, bytes, at);
}

/** After a read that came upon damage, which ends it: what is behind may be damaged too. */
export function tellDamage({ cached, geometry }: ScheduledLayer, start: number, end: number): void {
  const last = geometry.spanOf(end - 1);
  for (let span = geometry.spanOf(start); span <= last; span++) cached.damage(span);
}
