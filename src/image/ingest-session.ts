import type { ByteLog } from "../bytes/byte-log.ts";
import { LayerDraft } from "../cache/layer-draft.ts";
import { LayerFiles } from "../cache/layer-files.ts";
import { LayerRefill } from "../cache/layer-refill.ts";
import { systemFailure } from "../cache/system-failure.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { SociError } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";
import { encodeEntries } from "../tree/encode-entries.ts";
import { encodeLayerTable } from "../tree/encode-layer-table.ts";
import { buildLayerTree } from "../tree/layer-tree.ts";
import { ingestedGeometry } from "./ingested-geometry.ts";
import {
  encodeIngestedZtoc,
  type IngestedLayer,
  type IngestedZtoc,
  type IngestSink,
  LayerIngest,
} from "./layer-ingest.ts";
import type { IngestTarget } from "./layer-ingester.ts";

type IngestPlace =
  | { readonly kind: "new"; readonly draft: LayerDraft }
  | { readonly kind: "refill"; readonly files: LayerFiles; readonly refill: LayerRefill };

export interface IngestSessionOptions {
  readonly cacheRoot: string;
  readonly layer: Digest;
  readonly target: IngestTarget;
  /** Where checkpoints wait; the caller's, and needed until the zTOC has been read. */
  readonly checkpoints: ByteLog;
  readonly engine: () => InflateEngine;
}

/**
 * One layer on its way into the cache, in this thread. Nothing of it is to be seen before finish();
 * disposing before that leaves nothing behind. Errors are those of LayerIngester.
 */
export class IngestSession implements AsyncDisposable {
  readonly #layer: Digest;
  readonly #ingest: LayerIngest;
  readonly #place: IngestPlace;

  private constructor(place: IngestPlace, { layer, target, ...rest }: IngestSessionOptions) {
    this.#layer = layer;
    this.#place = place;
    const withSpans = target.kind === "new" && target.withSpans;
    this.#ingest = new LayerIngest({ ...rest, sink: sinkOf(place, layer), withSpans });
  }

  static async start(options: IngestSessionOptions): Promise<IngestSession> {
    const { cacheRoot, layer, target } = options;
    if (target.kind === "new") {
      const draft = await named(layer, () => LayerDraft.create(cacheRoot, layer));
      return new IngestSession({ kind: "new", draft }, options);
    }
    const files = LayerFiles.open(target.handle);
    return new IngestSession({ kind: "refill", files, refill: new LayerRefill(files) }, options);
  }

  /** Uncompressed bytes so far. */
  get size(): number {
    return this.#ingest.size;
  }

  /** Takes the next bytes of the blob; when it is done their memory may be reused. */
  async push(chunk: Uint8Array): Promise<void> {
    await named(this.#layer, () => this.#ingest.push(chunk));
  }

  /**
   * All bytes have been pushed, and are those of the blob. The layer is in the cache when this
   * returns, with its zTOC where it is a new one that can have one.
   */
  async finish(diffId: Digest | undefined): Promise<IngestedZtoc | undefined> {
    const layer = await this.#ingest.finish();
    if (diffId !== undefined && layer.diffId !== diffId) {
      throw new SociError(
        "data-loss",
        `its uncompressed bytes have digest ${layer.diffId}, want the diff ID ${diffId} of the image's config`,
      );
    }
    if (this.#place.kind === "refill") {
      this.#place.refill.commit();
      return undefined;
    }
    const { draft } = this.#place;
    await named(this.#layer, () => this.#commit(draft, layer));
    return encodeIngestedZtoc(layer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ingest[Symbol.dispose]();
    if (this.#place.kind === "refill") this.#place.files[Symbol.dispose]();
    else await this.#place.draft[Symbol.asyncDispose]();
  }

  async #commit(draft: LayerDraft, layer: IngestedLayer): Promise<void> {
    const { entries } = layer;
    const { sparse } = entries;
    const tree = buildLayerTree(entries.rows(), { name: this.#layer });
    await draft.commit({
      geometry: ingestedGeometry(layer),
      entries: encodeEntries(entries.rows(), sparse),
      inodes: encodeLayerTable(tree, { sparse }),
    });
  }
}

/** Errors of the system, such as a full disk, say what they were in the way of. */
async function named<T>(layer: Digest, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw systemFailure(`keep layer ${layer} in the cache`, error);
  }
}

function sinkOf(place: IngestPlace, layer: Digest): IngestSink {
  if (place.kind === "new") return place.draft;
  const { refill } = place;
  return {
    append(bytes) {
      if (refill.append(bytes)) return;
      throw new SociError(
        "failed-precondition",
        `Cannot fill layer ${layer} of the cache again: no room on disk behind ${refill.size} bytes`,
      );
    },
    cut() {
      // The spans are those that the layer has.
    },
  };
}
