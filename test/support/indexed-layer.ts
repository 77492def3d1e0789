import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { localZtocFactory, type ZtocFactory } from "../../src/ztoc/build-ztoc.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import type { CompressionAlgorithm, Ztoc } from "../../src/ztoc/ztoc.ts";

/** Builds zTOCs in this thread. */
export const buildZtoc: ZtocFactory = localZtocFactory({ engine: () => new WasmEngine() });

/** The zTOC of a layer that is in memory, as bytes and decoded. */
export async function ztocOf(
  layer: Uint8Array,
  {
    algorithm = "gzip",
    spanSize = 65_536,
  }: { readonly algorithm?: CompressionAlgorithm; readonly spanSize?: number } = {},
): Promise<{ readonly bytes: Uint8Array; readonly ztoc: Ztoc }> {
  async function* source(): AsyncGenerator<Uint8Array> {
    yield layer;
  }
  return await buildZtoc(source(), { algorithm, spanSize }, async (built) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of built.chunks()) chunks.push(chunk.slice());
    const bytes = Buffer.concat(chunks);
    return { bytes, ztoc: decodeZtoc(bytes) };
  });
}
