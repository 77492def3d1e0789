import type { InflateEngine } from "../../src/deflate/inflate-engine.ts";
import { bytesOf } from "../../src/ztoc/encode-ztoc.ts";
import type { CompressionAlgorithm } from "../../src/ztoc/ztoc.ts";
import type { BuiltZtoc } from "../../src/ztoc/ztoc-builder.ts";
import { ZtocBuilder } from "../../src/ztoc/ztoc-builder.ts";

export interface BuildOptions {
  readonly engine: InflateEngine;
  readonly algorithm?: CompressionAlgorithm;
  readonly spanSize?: number;
  /** Sizes of the pieces in which the layer is given, over and over. */
  readonly pieces?: readonly number[];
}

/** Builds the zTOC of a layer in memory. Each piece is handed over in the same memory, as files are read. */
export function build(
  layer: Uint8Array,
  { engine, algorithm = "gzip", spanSize = 4096, pieces = [4096] }: BuildOptions,
): BuiltZtoc {
  const builder = new ZtocBuilder({ algorithm, spanSize, engine: () => engine });
  const memory = new Uint8Array(Math.max(...pieces));
  for (let at = 0, turn = 0; at < layer.length; turn++) {
    const piece = layer.subarray(at, at + (pieces[turn % pieces.length] ?? 1));
    memory.set(piece);
    builder.push(memory.subarray(0, piece.length));
    memory.fill(0xa5);
    at += piece.length;
  }
  return builder.finish();
}

/** The bytes of the zTOC of a layer. */
export function buildBytes(layer: Uint8Array, options: BuildOptions): Uint8Array {
  return bytesOf(build(layer, options).encoded);
}
