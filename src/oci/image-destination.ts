import type { WaitOptions } from "../async/wait-options.ts";
import type { Descriptor } from "./descriptor.ts";
import type { LayoutWriter } from "./layout-writer.ts";
import type { BlobOpener } from "./upload-source.ts";

/**
 * Where an image is written: a repository, an OCI layout, an archive. Blobs come first, then manifests
 * that name them, then finish(): until then nobody who looks for an image sees one. Disposing without
 * finish() leaves no part of an image that anything names.
 */
export interface ImageDestination extends AsyncDisposable {
  /** As the user named it, for messages. Never holds credentials. */
  readonly name: string;

  /**
   * A layout on this machine whose blobs count as put: what is read from far away can be put there
   * first and read from there. `undefined` where there is none.
   */
  readonly stage: LayoutWriter | undefined;

  /** Whether a blob of the source image is there, or comes there now without its bytes being sent. */
  takesOver(blob: Descriptor, options?: WaitOptions): Promise<boolean>;

  /** Puts a blob, verified: a no-op where it is there. `open` may be called more than once. */
  putBlob(blob: Descriptor, open: BlobOpener, options?: WaitOptions): Promise<void>;

  /** Whether it is where the source image is, so that its manifests are there. */
  readonly isSourcePlace: boolean;

  /** Puts a manifest or image index by its digest. */
  putManifest(descriptor: Descriptor, bytes: Uint8Array, options?: WaitOptions): Promise<void>;

  /** Puts the image index or manifest that is the image, under the name. The last call. */
  finish(root: Descriptor, bytes: Uint8Array, options?: WaitOptions): Promise<void>;
}
