import type { WaitOptions } from "../async/wait-options.ts";
import type { Digest } from "../oci/digest.ts";

/** What containerd says of a layer that it would unpack, from the labels of Prepare. */
export interface LayerRequest {
  /** containerd's namespace. */
  readonly namespace: string;
  /** Label `containerd.io/snapshot/cri.image-ref`. */
  readonly imageReference: string;
  /** Label `containerd.io/snapshot/cri.manifest-digest`. */
  readonly manifestDigest: Digest;
  /** Label `containerd.io/snapshot/cri.layer-digest`. */
  readonly layerDigest: Digest;
  /** Label `containerd.io/snapshot/remote/soci.size`. */
  readonly layerSize: number | undefined;
  /** Label `containerd.io/snapshot/remote/soci.index.digest`. */
  readonly indexDigest: Digest | undefined;
}

/** All that is needed to show a layer again after a restart, without the registry's help. Plain JSON. */
export interface ServedLayer {
  readonly digest: Digest;
  /** Names, to who shows it, what vouches for its bytes: those that two images have may be two. */
  readonly cacheKey: string;
  readonly size: number;
  readonly mediaType: string;
  readonly namespace: string;
  readonly imageReference: string;
  readonly manifestDigest: Digest;
}

export type LayerAnswer =
  | {
      readonly kind: "served";
      readonly layer: ServedLayer;
      /** Fetched whole, not by a zTOC. */
      readonly isWhole: boolean;
      readonly hasIndex: boolean;
    }
  /** containerd unpacks it. */
  | { readonly kind: "refused"; readonly reason: RefusalReason; readonly detail: string };

/** All layers of an image, bottom first; of several refusals the first. */
export type ImageAnswer =
  | {
      readonly kind: "served";
      readonly layers: readonly ServedLayer[];
      /** Some were fetched whole. */
      readonly isWhole: boolean;
      readonly hasIndex: boolean;
    }
  | Extract<LayerAnswer, { kind: "refused" }>;

export type RefusalReason =
  | "no-index"
  | "no-ztoc"
  | "not-served-parent"
  | "labels-missing"
  | "modes-disabled"
  | "registry"
  | "data"
  | "no-room"
  | "timeout"
  | "internal";

export interface PrepareImageOptions extends WaitOptions {
  /** The name that the snapshot of all of them will have. */
  readonly target: string;
}

/** A run of ids: `length` of them from `containerId` are those from `hostId` outside. */
export interface IdMap {
  readonly containerId: number;
  readonly hostId: number;
  readonly length: number;
}

/** The ids of a container's user namespace. */
export interface IdMappings {
  readonly uids: readonly IdMap[];
  readonly gids: readonly IdMap[];
}

export interface MountStackOptions extends WaitOptions {
  /** The snapshot that uses the directory. */
  readonly holder: string;
  /** The committed snapshot on top of the stack. */
  readonly top: string;
  readonly ids?: IdMappings | undefined;
}

/**
 * Shows layers without unpacking them. Snapshots are named by strings that are never used again,
 * also not after a restart.
 */
export interface LayerMounter {
  /**
   * Whether the layer can be served; waits until it can, within the configured time. Throws only the
   * signal's reason.
   */
  prepareLayer(request: LayerRequest, options?: WaitOptions): Promise<LayerAnswer>;
  /**
   * The same for all layers of the image that the request is about. Refused where `target` is not their
   * chain ID.
   */
  prepareImage(request: LayerRequest, options: PrepareImageOptions): Promise<ImageAnswer>;
  /** A committed snapshot is, or has, this layer: keep it, until release(snapshot). */
  holdLayer(snapshot: string, layer: ServedLayer): void;
  /**
   * The directory that shows these layers (bottom first) merged; ready when it resolves. Idempotent.
   * @throws unavailable `layer "<id>" unavailable` …
   */
  mountStack(layers: readonly ServedLayer[], options: MountStackOptions): Promise<string>;
  /** A snapshot is gone (active or committed): lets go of what it held. */
  release(snapshot: string): void;
  /**
   * At start, before any call: every committed served snapshot, and every active or view one over a
   * stack. Local state only.
   */
  restore(state: RestoredSnapshots): Promise<void>;
  /** Gives back everything that nothing holds. */
  cleanup(options?: WaitOptions): Promise<void>;
}

export interface RestoredSnapshots {
  readonly layers: readonly { readonly snapshot: string; readonly layer: ServedLayer }[];
  readonly stacks: readonly {
    readonly layers: readonly ServedLayer[];
    readonly options: MountStackOptions;
  }[];
}
