import { SociError } from "../../errors.ts";
import { type Digest, Digester } from "../../oci/digest.ts";
import type { ZtocResult } from "../../ztoc/build-ztoc.ts";
import type { LayerInput } from "./ztoc-layer-input.ts";
import { openOutputFile } from "./ztoc-output-file.ts";

/** Where a zTOC goes. */
export interface ZtocTarget extends AsyncDisposable {
  /** For checkpoints that are too many for memory. */
  readonly directory: string;
  /** To be given all of the layer before write() is called; absent when its digest is of no use. */
  readonly layerDigester: Digester | undefined;
  write(
    ztoc: ZtocResult,
    options: { readonly spanSize: number; readonly signal: AbortSignal },
  ): Promise<Digest>;
}

/** A file; the layer is not hashed. @throws failed-precondition, not-found, invalid-argument */
export async function fileTarget(
  path: string,
  { cwd, layer }: { readonly cwd: string; readonly layer: LayerInput },
): Promise<ZtocTarget> {
  const file = await openOutputFile(path, cwd);
  if (file.identity !== undefined && file.identity === layer.identity) {
    throw new SociError(
      "invalid-argument",
      `Cannot write "${path}": it is the layer itself, want another file`,
    );
  }
  return {
    directory: file.directory,
    layerDigester: undefined,
    async write(ztoc, { signal }) {
      const digester = new Digester();
      await file.write(digested(ztoc.chunks(), digester), { signal });
      return digester.digest();
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** The local store, which lists a zTOC by its layer. @throws failed-precondition, data-loss */
export async function storeTarget(root: string, signal: AbortSignal): Promise<ZtocTarget> {
  // With --output nobody pays for loading the database.
  const { openLocalStore } = await import("../../soci/local-store.ts");
  const store = await openLocalStore({ root, signal });
  const layerDigester = new Digester();
  return {
    // Not its ingest directory, which other processes may remove when they have done.
    directory: store.content.dir,
    layerDigester,
    async write(ztoc, { spanSize, signal: writing }) {
      const layer = layerDigester.digest();
      const { digest } = await store.putZtoc(ztoc.chunks(), {
        layer,
        spanSize,
        size: ztoc.size,
        signal: writing,
      });
      return digest;
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

async function* digested(
  chunks: AsyncIterable<Uint8Array>,
  digester: Digester,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    digester.update(chunk);
    yield chunk;
  }
}
