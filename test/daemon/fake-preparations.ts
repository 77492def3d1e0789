import type { WaitOptions } from "../../src/async/wait-options.ts";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import type { ImageName, ImageSessionsOptions } from "../../src/daemon/image-sessions.ts";
import { SociError } from "../../src/errors.ts";
import type { ImagePreparation } from "../../src/image/image-preparation.ts";
import type { PrefetchSpans } from "../../src/image/find-prefetch.ts";
import type { LayerOutcome, ReadyLayer } from "../../src/image/layer-outcome.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { digestOf } from "../../src/oci/digest.ts";
import type { ImageSource } from "../../src/oci/image-source.ts";
import { OCI_LAYER_GZIP } from "../../src/oci/media-types.ts";

/** An image of a test. */
export const NAME: ImageName = {
  namespace: "default",
  imageReference: "example.com/app:1",
  manifestDigest: digestOf(Buffer.from("manifest")),
  indexDigest: undefined,
};

/** Preparations of images that ask nobody: what they answer is a test's. */
export class FakePreparations implements Pick<ImageSessionsOptions, "openSource" | "prepare"> {
  /** `open <ref>`, `prepare <ref>`, `end <ref>`, `close <ref>`. */
  readonly events: string[] = [];
  /** Awaited before a source is open. */
  opening: Promise<void> = Promise.resolve();
  /** What a layer is; it may take its time. */
  layer: (digest: Digest, options?: WaitOptions) => Promise<LayerOutcome> = () =>
    new Promise(() => undefined);
  /** Layers of the image, bottom first; undefined: it cannot be had. */
  chain: readonly Digest[] | undefined = [];
  /** What the image's config says that they are uncompressed; it may take its time. */
  diffIds: () => Promise<readonly Digest[]> = async () => [];
  prefetched: readonly PrefetchSpans[] | Error = [];
  /** Says of a layer that it is read whole. */
  stream: (layer: Digest) => void = () => {
    throw new Error("nothing is prepared");
  };

  readonly openSource = async ({ imageReference }: ImageName): Promise<ImageSource> => {
    this.events.push(`open ${imageReference}`);
    await this.opening;
    const { diffIds } = this;
    const source = {
      name: imageReference,
      blob: async function* () {
        const rootfs = { type: "layers", diff_ids: await diffIds() };
        yield Buffer.from(JSON.stringify({ os: "linux", architecture: "amd64", rootfs }));
      },
      [Symbol.asyncDispose]: async () => void this.events.push(`close ${imageReference}`),
    };
    return source as unknown as ImageSource;
  };

  readonly prepare = (
    { imageReference }: ImageName,
    _source: ImageSource,
    onStreamed: (layer: Digest) => void,
  ): ImagePreparation => {
    this.events.push(`prepare ${imageReference}`);
    this.stream = onStreamed;
    const ended = Promise.withResolvers<never>();
    ended.promise.catch(() => undefined);
    const preparation = {
      layer: (digest: Digest, options?: WaitOptions) =>
        Promise.race([this.layer(digest, options), ended.promise]),
      image: async () => {
        if (this.chain === undefined) throw new SociError("unavailable", "registry is down");
        const config = { digest: digestOf("config"), size: 1 };
        return { manifest: { config, layers: this.chain.map((digest) => ({ digest })) } };
      },
      prefetch: async () => {
        if (this.prefetched instanceof Error) throw this.prefetched;
        return this.prefetched;
      },
      [Symbol.asyncDispose]: async () => {
        this.events.push(`end ${imageReference}`);
        ended.reject(new SociError("unavailable", "Cannot prepare image: it has been given up"));
      },
    };
    return preparation as unknown as ImagePreparation;
  };
}

/** A layer of the cache as a preparation answers with it. */
export function readyLayer(layer: CachedLayer): ReadyLayer {
  return {
    kind: "ready",
    layer,
    descriptor: { digest: layer.digest, size: 1, mediaType: OCI_LAYER_GZIP },
    from: "cache",
    isWhole: false,
    hasIndex: true,
    diffId: undefined,
  };
}
