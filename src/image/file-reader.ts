import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { SociError } from "../errors.ts";
import type { LayerRange } from "../fetch/span-plan.ts";
import { SpanReader } from "../fetch/span-reader.ts";
import type { Logger } from "../observability/log.ts";
import type { ImageSource, SignalOptions } from "../oci/image-source.ts";
import type { SparseExtent } from "../tar/tar-entry.ts";
import type { Content } from "../tree/file-tree.ts";
import { decompress, peekEncoding } from "./decompress.ts";
import type { LayerView } from "./layer-view.ts";
import { verifyPieces } from "./piece-digests.ts";

export interface FileReaderOptions extends SignalOptions {
  readonly source: ImageSource;
  readonly layers: readonly LayerView[];
  readonly engine: () => InflateEngine;
  readonly log: Logger;
}

const ZEROS = new Uint8Array(65_536);

/** Reads the contents of files of one image, one after another, in the order in which they are given. */
export class FileReader implements AsyncDisposable {
  readonly #contents: readonly Content[];
  readonly #options: FileReaderOptions;
  readonly #spans: SpanReader;

  constructor(contents: readonly Content[], options: FileReaderOptions) {
    this.#contents = contents;
    this.#options = options;
    const { layers, engine } = options;
    this.#spans = new SpanReader(
      contents.map((content) => this.#spanRange(content)),
      {
        ...options,
        layers: layers.map(({ descriptor, ztoc }) =>
          ztoc === undefined ? undefined : { descriptor, ztoc },
        ),
        engine: engine(),
      },
    );
  }

  /** The bytes of file `i`. Views die with the next step. @throws data-loss, unavailable … */
  async *read(i: number): AsyncGenerator<Uint8Array, void> {
    const content = this.#contents[i];
    if (content === undefined)
      throw new RangeError(`Cannot read file ${i} of ${this.#contents.length}`);
    const layer = this.#layer(content);
    if (content.size === 0) return;
    if (layer.ztoc !== undefined) yield* this.#spans.read(i);
    else yield* this.#readStreamed(layer, content);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spans[Symbol.asyncDispose]();
  }

  /** What is to be had by spans; nothing of a layer that can only be streamed. */
  #spanRange(content: Content): LayerRange {
    const { layer, uncompressedOffset: start, size } = content;
    const isSpans = this.#layer(content).ztoc !== undefined;
    return { layer, start, end: isSpans ? start + size : start };
  }

  async *#readStreamed(
    { descriptor, pieces, sparse }: LayerView,
    { entry, uncompressedOffset, size }: Content,
  ): AsyncGenerator<Uint8Array, void> {
    const extents = sparse.get(entry) ?? [{ offset: 0, length: size }];
    const stored = extents.reduce((sum, { length }) => sum + length, 0);
    const { source, engine, signal } = this.#options;
    if (pieces === undefined) throw new Error(`layer ${descriptor.digest} has no digests`);
    const peeked = await peekEncoding(source.blob(descriptor, { signal }));
    const range = { start: uncompressedOffset, end: uncompressedOffset + stored };
    const what = `layer ${descriptor.digest} of "${source.name}"`;
    const verified = verifyPieces(decompress(peeked, engine), pieces, what);
    yield* withHoles(sliceOf(verified, range), extents, size);
  }

  #layer({ layer }: Content): LayerView {
    const found = this.#options.layers[layer];
    if (found === undefined) throw new Error(`no layer ${layer}`);
    return found;
  }
}

/** Bytes [start, end) of a stream. */
async function* sliceOf(
  source: AsyncIterable<Uint8Array>,
  { start, end }: { readonly start: number; readonly end: number },
): AsyncGenerator<Uint8Array, void> {
  let position = 0;
  for await (const chunk of source) {
    const from = Math.max(0, start - position);
    const to = Math.min(chunk.length, end - position);
    if (from < to) yield chunk.subarray(from, to);
    position += chunk.length;
    if (position >= end) return;
  }
  throw new SociError(
    "data-loss",
    `Cannot read file: the layer ends at byte ${position}, want ${end}`,
  );
}

/** A sparse file's bytes: its runs of data one after another in `stored`, zeros between them. */
async function* withHoles(
  stored: AsyncIterable<Uint8Array>,
  extents: readonly SparseExtent[],
  size: number,
): AsyncGenerator<Uint8Array, void> {
  let position = 0;
  let next = 0;
  let left = extents[0]?.length ?? 0;
  for await (const chunk of stored) {
    for (let rest = chunk; rest.length > 0;) {
      while (left === 0) left = extents[++next]?.length ?? rest.length;
      const { offset, length } = extents[next] ?? { offset: position, length: left };
      const at = offset + length - left;
      yield* zeros(at - position);
      const part = rest.subarray(0, left);
      yield part;
      left -= part.length;
      position = at + part.length;
      rest = rest.subarray(part.length);
    }
  }
  yield* zeros(size - position);
}

function* zeros(count: number): Generator<Uint8Array, void> {
  for (let left = count; left > 0; left -= ZEROS.length) {
    yield ZEROS.subarray(0, Math.min(left, ZEROS.length));
  }
}
