import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { ImagePreparation } from "../../src/image/image-preparation.ts";
import type { LayerIngester } from "../../src/image/layer-ingester.ts";
import type { LayerOutcome } from "../../src/image/layer-outcome.ts";
import { LayerTables } from "../../src/image/layer-tables.ts";
import type { ImagePreparationOptions } from "../../src/image/preparation-options.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { localIngester } from "../support/local-ingester.ts";

export interface StartOptions extends Partial<Omit<ImagePreparationOptions, "source" | "cache">> {
  readonly capBytes?: number;
  /** Comes before the ingester that works in this thread. */
  readonly around?: (ingest: LayerIngester) => LayerIngester;
}

/** An image that is being prepared below a state root, in this thread. */
export interface Started extends AsyncDisposable {
  readonly preparation: ImagePreparation;
  readonly cache: LayerCache;
  readonly records: readonly LogRecord[];
  /** What becomes of a layer, in one word: where it came from, or why it is refused. Closes it. */
  outcome(digest: Digest): Promise<string>;
  /** The same of several, in their order. */
  outcomes(
    layers: readonly { readonly descriptor: { readonly digest: Digest } }[],
  ): Promise<string[]>;
}

export async function startPreparation(
  root: string,
  name: string,
  { capBytes, around = (ingest) => ingest, ...options }: StartOptions = {},
): Promise<Started> {
  await using resources = new AsyncDisposableStack();
  const records: LogRecord[] = [];
  const log = createLogger({ level: "debug", sink: (record) => records.push(record) });
  const cache = resources.use(await LayerCache.open({ root, log, capBytes }));
  const source = resources.use(await openImageSource(name));
  const preparation = resources.use(
    ImagePreparation.start({
      source,
      cache,
      startTables: () => new LayerTables({ cacheRoot: cache.root }),
      ingest: around(localIngester({ cacheRoot: cache.root, engine: () => new WasmEngine() })),
      log,
      ...options,
    }),
  );
  const owned = resources.move();
  const outcome = async (digest: Digest): Promise<string> =>
    await wordOf(await preparation.layer(digest));
  return {
    preparation,
    cache,
    records,
    outcome,
    outcomes: (layers) => Promise.all(layers.map(({ descriptor }) => outcome(descriptor.digest))),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function wordOf(outcome: LayerOutcome): Promise<string> {
  if (outcome.kind === "refused") return outcome.reason;
  await outcome.layer[Symbol.asyncDispose]();
  return outcome.from;
}
