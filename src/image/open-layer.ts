import { isKind, SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource, SignalOptions } from "../oci/image-source.ts";
import { decodeZtoc } from "../ztoc/decode-ztoc.ts";
import { ztocFault } from "../ztoc/ztoc-fault.ts";
import type { Ztoc } from "../ztoc/ztoc.ts";

/** Where zTOCs may already be, without a request. */
export interface LocalZtocs {
  readZtoc(digest: Digest): Promise<Uint8Array>;
}

export interface FetchZtocOptions extends SignalOptions {
  readonly source: ImageSource;
  readonly store?: LocalZtocs | undefined;
  readonly log: Logger;
}

const MiB = 1 << 20;
/** Its size is what its index says: no more than a machine can lend to one layer of a stranger's. */
const MAX_ZTOC_BYTES = 512 * MiB;

/** As many bytes of zTOC as a layer of this size can honestly need, and then some. */
function maxZtocBytes(layer: Descriptor): number {
  return Math.min(64 * MiB + layer.size * 2, MAX_ZTOC_BYTES);
}

/** Before memory is taken for it. @throws data-loss for a zTOC larger than any that is read */
export function checkZtocSize(layer: Descriptor, { size }: Descriptor): void {
  const max = maxZtocBytes(layer);
  if (size <= max) return;
  throw new SociError(
    "data-loss",
    `Cannot use zTOC: it has ${size} bytes for a layer of ${layer.size}, want at most ${max}`,
  );
}

/**
 * A layer's zTOC, verified and checked against the layer; undefined when it is of no use, which is
 * logged: the layer is then not lazy. @throws what the source throws when it cannot be reached
 */
export async function fetchZtoc(
  layer: Descriptor,
  descriptor: Descriptor,
  options: FetchZtocOptions,
): Promise<Ztoc | undefined> {
  try {
    return decodeLayerZtoc(layer, await readZtoc(layer, descriptor, options));
  } catch (error) {
    if (!isUseless(error)) throw error;
    logNotLazy(options.log, { layer, ztoc: descriptor.digest, reason: error.message });
    return undefined;
  }
}

/** Whether a layer goes without its zTOC after this failure, rather than the image with it. */
export function isUseless(error: unknown): error is SociError {
  return isKind(error, "data-loss", "not-found", "unsupported");
}

/** Says why a layer has to be read whole although the index names a zTOC for it. */
export function logNotLazy(
  log: Logger,
  { layer, ztoc, reason }: { readonly layer: Descriptor; readonly ztoc: Digest; reason: string },
): void {
  log.warn("layer is not lazy", { layer: layer.digest, ztoc, reason });
}

/** Decodes a zTOC and checks that the layer can be read by it. The result aliases `bytes`. @throws data-loss */
export function decodeLayerZtoc(layer: Pick<Descriptor, "size">, bytes: Uint8Array): Ztoc {
  const ztoc = decodeZtoc(bytes);
  const fault =
    ztoc.compressedArchiveSize === layer.size
      ? ztocFault(ztoc)
      : `it is of a layer of ${ztoc.compressedArchiveSize} bytes, want ${layer.size}`;
  if (fault !== undefined) throw new SociError("data-loss", `Cannot use zTOC: ${fault}`);
  return ztoc;
}

/** A zTOC's bytes, from the store or the source, its digest verified. @throws data-loss, not-found … */
export async function readZtoc(
  layer: Descriptor,
  descriptor: Descriptor,
  { source, store, signal }: FetchZtocOptions,
): Promise<Uint8Array> {
  checkZtocSize(layer, descriptor);
  try {
    if (store !== undefined) return await store.readZtoc(descriptor.digest);
  } catch (error) {
    // Damaged here, it may be whole there.
    if (!isKind(error, "not-found", "data-loss")) throw error;
  }
  const bytes = new Uint8Array(descriptor.size);
  let length = 0;
  for await (const chunk of source.blob(descriptor, { signal })) {
    bytes.set(chunk, length);
    length += chunk.length;
  }
  return bytes;
}
