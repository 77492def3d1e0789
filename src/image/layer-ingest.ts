import type { ByteLog } from "../bytes/byte-log.ts";
import { WHOLE_SPAN_BYTES } from "../cache/encode-geometry.ts";
import { GzipDecoder } from "../deflate/gzip-decoder.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { SociError } from "../errors.ts";
import { type Digest, Digester } from "../oci/digest.ts";
import { TarScanner } from "../tar/tar-scanner.ts";
import { type EncodedZtoc, encodeZtoc } from "../ztoc/encode-ztoc.ts";
import { GzipSpanBuilder } from "../ztoc/gzip-span-builder.ts";
import type { BuiltSpans } from "../ztoc/span-builder.ts";
import { TarSpanBuilder } from "../ztoc/tar-span-builder.ts";
import type { ZtocSummary } from "../ztoc/ztoc-summary.ts";
import { DEFAULT_SPAN_SIZE } from "../ztoc/ztoc.ts";
import { type Encoding, encodingOf } from "./decompress.ts";
import { EntryList, type EntryListOptions } from "./entry-list.ts";
import { ZstdInflater } from "./zstd-inflater.ts";

/** Where a layer's uncompressed bytes go. */
export interface IngestSink {
  /** The next bytes of the tar; a view that dies with the call. */
  append(bytes: Uint8Array): void;
  /** A span begins with the next byte. The first call comes before any byte. */
  cut(): void;
}

export interface LayerIngestOptions {
  readonly engine: () => InflateEngine;
  readonly sink: IngestSink;
  /** Where checkpoints (32 KiB a span) wait until the end. */
  readonly checkpoints: ByteLog;
  /** Whether spans are looked for, at which the layer could be entered later. */
  readonly withSpans?: boolean | undefined;
  /** Uncompressed bytes after which a span may end. */
  readonly spanSize?: number | undefined;
  readonly limits?: EntryListOptions | undefined;
}

/** What one pass over a layer has shown. */
export interface IngestedLayer {
  readonly encoding: Encoding;
  /** Of all that came out of the blob. */
  readonly diffId: Digest;
  readonly compressedSize: number;
  /** Of the tar, up to its end blocks. So much went to the sink, or all bytes before the last span. */
  readonly uncompressedSize: number;
  /** Uncompressed bytes after which a span could end. */
  readonly spanSize: number;
  readonly entries: EntryList;
  /** Where the layer can be entered; undefined: nowhere but at its start. */
  readonly spans: BuiltSpans | undefined;
  /** Why no zTOC can be made of it that is good for reading, or undefined. */
  readonly ztocFault: string | undefined;
}

/** A decompressor that is fed: with or without spans. */
interface LayerDecoder {
  push(chunk: Uint8Array): void | Promise<void>;
  finish(): BuiltSpans | undefined | Promise<undefined>;
  [Symbol.dispose]?(): void;
}

const NOTHING = new Uint8Array(0);
const HEAD_BYTES = 4;
const MAX_TAIL_BYTES = 16 << 20;

/**
 * Takes a layer's compressed bytes and does in one pass all that a mount needs of them: hands the
 * uncompressed bytes to the sink, span by span, lists what an unpacker would unpack, and makes the
 * diff ID, checkpoints and span digests. The encoding is told by the first bytes, not by the media
 * type. push() and finish() throw `data-loss` for what an unpacker refuses, and `unsupported` when the
 * layer has too many spans: it can be taken without. The ingest is then good for nothing.
 */
export class LayerIngest implements Disposable {
  readonly #options: LayerIngestOptions;
  readonly #spanSize: number;
  readonly #sink: IngestSink;
  readonly #digester = new Digester();
  readonly #entries: EntryList;
  readonly #scanner: TarScanner;
  #head: Uint8Array = NOTHING;
  #encoding: Encoding | undefined;
  #decoder: LayerDecoder | undefined;
  #compressedSize = 0;
  #taken = 0;
  #hasSpans = false;
  readonly #tail: Uint8Array[] = [];
  #tailBytes = 0;

  constructor(options: LayerIngestOptions) {
    this.#options = options;
    this.#spanSize = options.spanSize ?? DEFAULT_SPAN_SIZE;
    this.#sink = options.sink;
    this.#entries = new EntryList(options.limits);
    this.#scanner = new TarScanner({ onEntry: (entry) => this.#entries.add(entry) });
  }

  /** Uncompressed bytes so far. */
  get size(): number {
    return this.#taken;
  }

  /** Takes the next bytes of the blob; when it is done their memory may be reused. */
  async push(chunk: Uint8Array): Promise<void> {
    this.#compressedSize += chunk.length;
    if (this.#decoder !== undefined) {
      await this.#decoder.push(chunk);
      return;
    }
    this.#head = this.#head.length === 0 ? chunk.slice() : Buffer.concat([this.#head, chunk]);
    if (this.#head.length >= HEAD_BYTES) await this.#begin().push(this.#head);
  }

  /** All bytes have been pushed; call once. */
  async finish(): Promise<IngestedLayer> {
    if (this.#decoder === undefined) await this.#begin().push(this.#head);
    const spans = (await this.#decoder?.finish()) ?? undefined;
    this.#scanner.finish();
    return {
      encoding: this.#encoding ?? "tar",
      diffId: this.#digester.digest(),
      compressedSize: this.#compressedSize,
      uncompressedSize: this.#scanner.endOffset,
      spanSize: this.#spanSize,
      entries: this.#entries,
      spans: spans?.unusable === undefined ? spans : undefined,
      ztocFault:
        spans === undefined
          ? "it cannot be entered at spans"
          : (spans.unusable ?? this.#entries.ztocFault),
    };
  }

  [Symbol.dispose](): void {
    this.#decoder?.[Symbol.dispose]?.();
  }

  #begin(): LayerDecoder {
    this.#encoding = encodingOf(this.#head);
    this.#decoder = this.#decoderOf(this.#encoding);
    return this.#decoder;
  }

  #decoderOf(encoding: Encoding): LayerDecoder {
    const { engine, checkpoints, withSpans = true } = this.#options;
    const spanSize = this.#spanSize;
    const onOutput = (bytes: Uint8Array) => this.#take(bytes);
    const onSpan = () => this.#cut();
    this.#hasSpans = withSpans && encoding !== "zstd";
    if (withSpans && encoding === "tar") {
      return new TarSpanBuilder({ spanSize, onOutput, onSpan });
    }
    if (withSpans && encoding === "gzip") {
      return new GzipSpanBuilder({
        engine: engine(),
        spanSize,
        checkpoints,
        onOutput,
        onSpan,
        goReads: () => !this.#scanner.done,
      });
    }
    const inEqualSpans = (bytes: Uint8Array) => this.#takeInEqualSpans(bytes);
    if (encoding === "gzip") return new GunzipDecoder(engine(), inEqualSpans);
    if (encoding === "zstd") return zstdDecoder(inEqualSpans);
    return { push: inEqualSpans, finish: () => undefined };
  }

  #take(bytes: Uint8Array): void {
    this.#digester.update(bytes);
    this.#scanner.push(bytes);
    const kept = this.#scanner.done
      ? Math.max(0, Math.min(bytes.length, this.#scanner.endOffset - this.#taken))
      : bytes.length;
    this.#taken += bytes.length;
    if (kept > 0) this.#sink.append(kept === bytes.length ? bytes : bytes.subarray(0, kept));
    if (kept < bytes.length) this.#holdTail(bytes.subarray(kept));
  }

  // What follows the end of the tar belongs to the diff ID alone when it is in the last span; in one
  // that another follows it is data, which has to come out when that span is fetched again.
  #holdTail(bytes: Uint8Array): void {
    if (!this.#hasSpans) return;
    this.#tailBytes += bytes.length;
    if (this.#tailBytes > MAX_TAIL_BYTES) {
      throw new SociError(
        "unsupported",
        `Cannot divide layer into spans: more than ${MAX_TAIL_BYTES} bytes follow its tar in one`,
      );
    }
    this.#tail.push(bytes.slice());
  }

  #cut(): void {
    for (const bytes of this.#tail.splice(0)) this.#sink.append(bytes);
    this.#tailBytes = 0;
    this.#sink.cut();
  }

  #takeInEqualSpans(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0;) {
      const used = this.#taken % WHOLE_SPAN_BYTES;
      if (used === 0 && !this.#scanner.done) this.#sink.cut();
      const part = rest.subarray(0, WHOLE_SPAN_BYTES - used);
      this.#take(part);
      rest = rest.subarray(part.length);
    }
  }
}

export interface IngestedZtoc {
  readonly encoded: EncodedZtoc;
  readonly summary: ZtocSummary;
}

/** The zTOC of a layer that has been taken in, where it can have one. The list of entries is empty afterwards. */
export function encodeIngestedZtoc(layer: IngestedLayer): IngestedZtoc | undefined {
  const { spans, entries, compressedSize, uncompressedSize, encoding } = layer;
  if (spans === undefined || layer.ztocFault !== undefined || encoding === "zstd") return undefined;
  const fileCount = entries.files.length;
  const encoded = encodeZtoc({
    compressedArchiveSize: compressedSize,
    uncompressedArchiveSize: uncompressedSize,
    files: entries.files,
    compressionAlgorithm: encoding === "gzip" ? "gzip" : "uncompressed",
    maxSpanId: spans.maxSpanId,
    spanDigests: spans.spanDigests,
    checkpoints: spans.checkpoints,
  });
  const summary: ZtocSummary = {
    size: encoded.size,
    compressedSize,
    uncompressedSize,
    spanCount: spans.maxSpanId + 1,
    fileCount,
    needsXattrs: entries.needsXattrs,
    unusable: undefined,
  };
  return { encoded, summary };
}

/** Gzip members without a look at spans. */
class GunzipDecoder implements LayerDecoder {
  readonly #decoder: GzipDecoder;
  readonly #onOutput: (bytes: Uint8Array) => void;

  constructor(engine: InflateEngine, onOutput: (bytes: Uint8Array) => void) {
    this.#decoder = new GzipDecoder(engine);
    this.#onOutput = onOutput;
  }

  push(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
    this.#run("input");
  }

  finish(): undefined {
    this.#decoder.endInput();
    this.#run("end");
  }

  #run(until: "input" | "end"): void {
    for (;;) {
      const stop = this.#decoder.run();
      const { goFault } = this.#decoder;
      if (goFault !== undefined) {
        throw new SociError(
          "data-loss",
          `Cannot read gzip header before byte ${this.#decoder.totalIn}: ${goFault}, want a gzip member that Go's compress/gzip takes`,
        );
      }
      if (this.#decoder.output.length > 0) this.#onOutput(this.#decoder.output);
      if (stop === until) return;
    }
  }
}

function zstdDecoder(onOutput: (bytes: Uint8Array) => void): LayerDecoder {
  const inflater = new ZstdInflater(onOutput);
  return {
    push: (chunk) => inflater.push(chunk),
    finish: async () => {
      await inflater.finish();
      return undefined;
    },
    [Symbol.dispose]: () => inflater[Symbol.dispose](),
  };
}
