import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ResolvedImage } from "../oci/resolve-image.ts";
import type { DiscoveredIndex } from "../soci/discover.ts";
import type { HeldLayer } from "./held-layers.ts";

/** A layer of an image, in the cache. The same layer of an image is the same object. */
export interface PreparedLayer extends HeldLayer {
  readonly descriptor: Descriptor;
  /** Of its uncompressed bytes; undefined where nobody had to ask. */
  readonly diffId: Digest | undefined;
}

/** An image whose layers are all in the cache, and their merged tree on disk. Disposing releases the layers. */
export interface PreparedImage extends AsyncDisposable {
  readonly image: ResolvedImage;
  /** Bottom first. */
  readonly layers: readonly PreparedLayer[];
  /** Names the chain of layers. */
  readonly treeKey: string;
  /** The file of its ChainTable. */
  readonly treePath: string;
  /** The SOCI index that was used; undefined when there is none, or nobody had to look. */
  readonly index: DiscoveredIndex | undefined;
}
