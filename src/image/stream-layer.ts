import type { WaitOptions } from "../async/wait-options.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { isKind, SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { SparseExtent, TarEntry } from "../tar/tar-entry.ts";
import { TarScanner } from "../tar/tar-scanner.ts";
import type { ZtocFactory } from "../ztoc/build-ztoc.ts";
import { decodeZtoc } from "../ztoc/decode-ztoc.ts";
import type { FileMetadata } from "../ztoc/file-metadata.ts";
import { DEFAULT_SPAN_SIZE } from "../ztoc/ztoc.ts";
import { decompress, peekEncoding } from "./decompress.ts";
import type { LayerView } from "./layer-view.ts";
import { PieceDigester } from "./piece-digests.ts";
import { extentsOf, unpackedMetadata } from "./unpacked-entry.ts";

export interface StreamLayerOptions extends WaitOptions {
  readonly source: ImageSource;
  readonly buildZtoc: ZtocFactory;
  readonly engine: () => InflateEngine;
  readonly onBytes?: ((count: number) => void) | undefined;
  /** Memory that the list of a layer's files may take, about. */
  readonly maxListBytes?: number | undefined;
}

const MAX_LIST_BYTES = 2 ** 31;
/** What a file, a pax record and a run of a sparse file take besides their bytes. */
const FILE_BYTES = 512;
const RECORD_BYTES = 256;
const EXTENT_BYTES = 64;

/**
 * Reads a whole layer to learn its files, for want of a zTOC. A zTOC is built on the way where one
 * can be, so that reading goes by spans afterwards. Nothing comes back before the last byte has been
 * verified. @throws data-loss
 */
export async function streamLayer(
  descriptor: Descriptor,
  options: StreamLayerOptions,
): Promise<LayerView> {
  try {
    return await viewThroughZtoc(descriptor, options);
  } catch (error) {
    // An entry that a zTOC cannot hold, or an encoding: unpackers take more than zTOCs do.
    if (!isKind(error, "unsupported")) throw error;
    return await viewThroughTar(descriptor, options);
  }
}

async function viewThroughZtoc(
  descriptor: Descriptor,
  options: StreamLayerOptions,
): Promise<LayerView> {
  const { buildZtoc, signal } = options;
  const peeked = await peekEncoding(bytesOf(descriptor, options));
  if (peeked.encoding === "zstd") return await viewOf(peeked, descriptor, options);
  const request = {
    algorithm: peeked.encoding === "gzip" ? "gzip" : "uncompressed",
    spanSize: DEFAULT_SPAN_SIZE,
    signal,
  } as const;
  return await buildZtoc(peeked.bytes, request, async (built) => {
    const parts: Uint8Array[] = [];
    for await (const chunk of built.chunks()) parts.push(chunk.slice());
    const ztoc = built.unusable === undefined ? decodeZtoc(Buffer.concat(parts)) : undefined;
    if (ztoc === undefined) return await viewThroughTar(descriptor, options);
    const { files } = ztoc;
    return { descriptor, files, ztoc, pieces: undefined, sparse: new Map(), from: "streamed" };
  });
}

async function viewThroughTar(
  descriptor: Descriptor,
  options: StreamLayerOptions,
): Promise<LayerView> {
  return await viewOf(await peekEncoding(bytesOf(descriptor, options)), descriptor, options);
}

async function viewOf(
  peeked: Awaited<ReturnType<typeof peekEncoding>>,
  descriptor: Descriptor,
  { engine, maxListBytes = MAX_LIST_BYTES }: StreamLayerOptions,
): Promise<LayerView> {
  const files: FileMetadata[] = [];
  const sparse = new Map<number, readonly SparseExtent[]>();
  let listBytes = 0;
  const scanner = new TarScanner({
    onEntry: (entry) => {
      const file = unpackedMetadata(entry);
      if (file === undefined) return;
      listBytes += listBytesOf(entry);
      if (listBytes > maxListBytes) {
        throw new SociError(
          "data-loss",
          `Cannot read layer ${descriptor.digest}: the list of its files takes over ${maxListBytes} bytes of memory`,
        );
      }
      if (entry.sparseExtents !== undefined) sparse.set(files.length, extentsOf(entry));
      files.push(file);
    },
  });
  const digester = new PieceDigester();
  for await (const chunk of decompress(peeked, engine)) {
    digester.update(chunk);
    scanner.push(chunk);
  }
  scanner.finish();
  const pieces = digester.finish();
  return { descriptor, files, ztoc: undefined, pieces, sparse, from: "streamed" };
}

/** A layer of a few megabytes can hold entries for many gigabytes: about what one takes. */
function listBytesOf({ name, linkname, pax, sparseExtents = [] }: TarEntry): number {
  const records = pax.reduce(
    (sum, { key, value }) => sum + RECORD_BYTES + key.length + value.length,
    0,
  );
  return FILE_BYTES + name.length + linkname.length + records + EXTENT_BYTES * sparseExtents.length;
}

async function* bytesOf(
  descriptor: Descriptor,
  { source, onBytes, signal }: StreamLayerOptions,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source.blob(descriptor, { signal })) {
    onBytes?.(chunk.length);
    yield chunk;
  }
}
