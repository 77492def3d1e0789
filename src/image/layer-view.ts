import type { Descriptor } from "../oci/descriptor.ts";
import type { SparseExtent } from "../tar/tar-entry.ts";
import type { FileMetadata } from "../ztoc/file-metadata.ts";
import type { Ztoc } from "../ztoc/ztoc.ts";
import type { PieceDigests } from "./piece-digests.ts";

/** A layer whose files are known and can be read. */
export interface LayerView {
  readonly descriptor: Descriptor;
  /** In the order of the tar: what the layer's tree is built of. */
  readonly files: readonly FileMetadata[];
  /** How to read it by spans; undefined: it can only be streamed from its start. */
  readonly ztoc: Ztoc | undefined;
  /** What its bytes must be when it is streamed again; undefined where there is a zTOC. */
  readonly pieces: PieceDigests | undefined;
  /** Runs of data of sparse files, by number of the entry. */
  readonly sparse: ReadonlyMap<number, readonly SparseExtent[]>;
  /** Where its zTOC came from; `streamed`: nowhere, the whole layer was read. */
  readonly from: "index" | "streamed";
}
