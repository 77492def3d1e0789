import { randomUUID } from "node:crypto";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor, Platform } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { type ImageConfig, parseImageConfig } from "../oci/image-config.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { MAX_JSON_BYTES } from "../oci/json-document.ts";
import { type ImageIndex, parseImageIndex } from "../oci/manifest.ts";
import { isIndexType } from "../oci/media-types.ts";
import { formatPlatform, hostPlatform, normalizePlatform, platformRank } from "../oci/platform.ts";
import { formatReference, type Reference } from "../oci/reference.ts";
import { type ResolvedImage, resolveImage } from "../oci/resolve-image.ts";
import type { Plugin } from "./api/introspection.ts";
import type { Labels } from "./api/snapshots.ts";
import { chainIds } from "./chain-ids.ts";
import { checkSnapshotter } from "./check-snapshotter.ts";
import type { ContainerdClient, ContainerdNamespace } from "./containerd-client.ts";
import { contentLabels, snapshotLabels, sourceLabels } from "./gc-labels.ts";
import { type Download, LayerDownloads } from "./layer-downloads.ts";
import { prepareLayers } from "./prepare-layers.ts";
import type { PulledLayer } from "./pulled-layer.ts";
import { writeLeased } from "./write-leased.ts";

export interface PullImageOptions extends WaitOptions {
  readonly client: ContainerdClient;
  /** The image that `reference` names, in its registry. */
  readonly source: ImageSource;
  readonly reference: Reference;
  readonly namespace: string;
  readonly snapshotter: string;
  /** Default: this machine's, and whatever a single manifest is for. */
  readonly platform?: Platform | undefined;
  /** The SOCI index that the snapshotter is to use, in the place of the one it would find. */
  readonly index?: Digest | undefined;
  /**
   * Tells the snapshotter ahead what is pulled, at the socket where it listens, so that it can begin;
   * whether it is ours and has understood. Such a one may make one snapshot of all layers.
   */
  readonly announce?:
    ((socket: string, image: AnnouncedPull, options: WaitOptions) => Promise<boolean>) | undefined;
  /** A snapshot for each layer, whatever the snapshotter can do. */
  readonly eachLayer?: boolean | undefined;
  /** As soon as it is known, bottom first. */
  readonly onLayer?: ((layer: PulledLayer) => void) | undefined;
  readonly onDownload?: ((layer: Descriptor) => Download) | undefined;
}

export interface AnnouncedPull {
  readonly namespace: string;
  /** The image's complete name. */
  readonly imageReference: string;
  readonly manifestDigest: Digest;
}

export interface PulledImage {
  readonly name: string;
  /** What the name stands for: an image index, or a manifest. */
  readonly target: Descriptor;
  readonly manifest: Descriptor;
  readonly platform: Platform;
  /** The snapshot of all layers; `undefined` for an image without any. */
  readonly chainId: Digest | undefined;
  readonly layers: readonly PulledLayer[];
}

const LEASE_MS = 24 * 3600 * 1000;
const CLEANUP_MS = 5000;
const ANNOUNCE_MS = 1000;

/**
 * Pulls an image into containerd, through any snapshotter: manifests and config into its content store,
 * a snapshot for each layer, and, last of all, the image's name. What is not needed is not downloaded.
 * When it fails nothing is left that containerd will not collect.
 */
export async function pullImage(options: PullImageOptions): Promise<PulledImage> {
  const { client, namespace, snapshotter, signal } = options;
  const controller = new AbortController();
  const inner =
    signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]);
  const id = `sociable-pull-${randomUUID()}`;
  const space = client.namespace(namespace);
  let mayHaveLease = false;
  const plugin = checkSnapshotter(client, { snapshotter, signal: inner });
  const leased = (async () => {
    await plugin;
    const expires = new Date(Date.now() + LEASE_MS);
    mayHaveLease = true;
    await space.leases.create(id, { expires, signal: inner });
  })();
  // The way to containerd and that to the registry begin at once; whichever fails first is told.
  leased.catch((error: unknown) => controller.abort(error));
  const parts = { space: space.withLease(id), plugin, leased };
  const pull = new Pull({ ...options, signal: inner }, parts);
  try {
    return await pull.run();
  } catch (error) {
    controller.abort(error);
    signal?.throwIfAborted();
    throw inner.aborted ? inner.reason : error;
  } finally {
    await pull.settled();
    await leased.catch(() => undefined);
    if (mayHaveLease) {
      const deleted = space.leases.delete(id, { signal: AbortSignal.timeout(CLEANUP_MS) });
      // What came of the pull counts: the lease ends by itself.
      await deleted.catch(() => undefined);
    }
  }
}

interface Document {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly labels: Labels;
  /** As containerd's own refs begin. */
  readonly kind: "index" | "manifest" | "config";
}

/** One pull, inside its lease. */
class Pull {
  readonly #options: PullImageOptions;
  readonly #space: ContainerdNamespace;
  readonly #plugin: Promise<Plugin>;
  readonly #leased: Promise<void>;
  readonly #downloads: LayerDownloads;
  readonly #source: Labels;
  readonly #writes: Promise<unknown>[] = [];

  constructor(
    options: PullImageOptions,
    {
      space,
      plugin,
      leased,
    }: {
      readonly space: ContainerdNamespace;
      readonly plugin: Promise<Plugin>;
      readonly leased: Promise<void>;
    },
  ) {
    const { source, reference, onDownload } = options;
    this.#options = options;
    this.#space = space;
    this.#plugin = plugin;
    this.#leased = leased;
    this.#source = sourceLabels(reference.registry, reference.repository);
    this.#downloads = new LayerDownloads({
      source,
      space,
      labels: this.#source,
      onDownload,
    });
  }

  async run(): Promise<PulledImage> {
    const { source, reference, snapshotter, platform, index, signal } = this.#options;
    const { eachLayer = false, onLayer } = this.#options;
    const name = formatReference(reference);
    const image = await resolveImage(source, { platform: platform ?? hostPlatform(), signal });
    const { descriptor, bytes, manifest } = image;
    const announced = this.#announce(name, descriptor.digest);
    this.#write({ kind: "manifest", descriptor, bytes, labels: contentLabels(manifest) });
    const [config] = await Promise.all([this.#config(image), this.#writeIndexes(image)]);
    const chainId = chainIds(config.diffIds).at(-1);
    await this.#leased;
    const layers = await prepareLayers({
      space: this.#space,
      snapshotter,
      imageName: name,
      manifest: descriptor.digest,
      layers: manifest.layers,
      diffIds: config.diffIds,
      index,
      downloads: this.#downloads,
      atOnce: (await announced) && !eachLayer,
      onLayer,
      signal,
    });
    await Promise.all(this.#writes);
    const { mediaType, digest, size } = image.root;
    const target = { mediaType, digest, size, annotations: {} };
    await this.#space.images.put(name, { target, signal });
    const found = normalizePlatform(config.platform);
    return { name, target: image.root, manifest: descriptor, platform: found, chainId, layers };
  }

  /** Never rejects: what comes of it is only how fast the pull is. */
  async #announce(imageReference: string, manifestDigest: Digest): Promise<boolean> {
    const { announce, namespace, index, signal } = this.#options;
    // An index that is given is told by labels alone.
    if (announce === undefined || index !== undefined) return false;
    try {
      const socket = (await this.#plugin).exports["address"];
      if (socket === undefined) return false;
      const late = AbortSignal.timeout(ANNOUNCE_MS);
      const either = signal === undefined ? late : AbortSignal.any([signal, late]);
      const image = { namespace, imageReference, manifestDigest };
      return await announce(socket, image, { signal: either });
    } catch {
      // Another snapshotter, or none: what is wrong shows when it is used.
      return false;
    }
  }

  /** Resolves when nothing of it goes on, however it ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#writes);
    await this.#downloads.settled();
  }

  /** Reads the config, and writes it while the layers are being prepared. */
  async #config({ manifest, platform: selected }: ResolvedImage): Promise<ImageConfig> {
    const { source, snapshotter, platform, signal } = this.#options;
    const { config: descriptor, layers } = manifest;
    const what = `config ${descriptor.digest} of "${source.name}"`;
    if (descriptor.size > MAX_JSON_BYTES) {
      throw new SociError(
        "data-loss",
        `Cannot read ${what}: it has ${descriptor.size} bytes, want at most ${MAX_JSON_BYTES}`,
      );
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of source.blob(descriptor, { signal })) chunks.push(chunk.slice());
    const bytes = Buffer.concat(chunks);
    const config = parseImageConfig(bytes, what);
    if (config.diffIds.length !== layers.length) {
      throw new SociError(
        "data-loss",
        `Cannot use ${what}: it has ${config.diffIds.length} diff ids, want one for each of ${layers.length} layers`,
      );
    }
    // A single manifest was taken as it is; it may be for something else than was asked for.
    const isOther =
      selected === undefined &&
      platform !== undefined &&
      platformRank(platform, config.platform) === undefined;
    if (isOther) {
      throw new SociError(
        "not-found",
        `Cannot find platform "${formatPlatform(platform)}" in "${source.name}"`,
        { hint: `It has ${formatPlatform(config.platform)}` },
      );
    }
    const labels = snapshotLabels(snapshotter, chainIds(config.diffIds).at(-1));
    this.#write({ kind: "config", descriptor, bytes, labels });
    return config;
  }

  /** Writes the image indexes on the way from the name to the manifest. */
  async #writeIndexes({ root, descriptor }: ResolvedImage): Promise<void> {
    const visit = async (at: Descriptor): Promise<boolean> => {
      if (at.digest === descriptor.digest) return true;
      if (!isIndexType(at.mediaType)) return false;
      const { bytes, document } = await this.#readIndex(at);
      for (const child of document.manifests) {
        if (!(await visit(child))) continue;
        const labels = contentLabels(document);
        this.#write({ kind: "index", descriptor: at, bytes, labels });
        return true;
      }
      return false;
    };
    await visit(root);
  }

  /** All of them have been read to find the manifest: the source remembers them. */
  async #readIndex(
    descriptor: Descriptor,
  ): Promise<{ readonly bytes: Uint8Array; readonly document: ImageIndex }> {
    const { source, signal } = this.#options;
    const bytes = await source.manifest(descriptor, { signal });
    const { mediaType, digest } = descriptor;
    return { bytes, document: parseImageIndex(bytes, { mediaType, what: `index ${digest}` }) };
  }

  #write({ kind, descriptor, bytes, labels }: Document): void {
    const { signal } = this.#options;
    const { digest, size } = descriptor;
    const once = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes;
    };
    const written = this.#leased.then(() =>
      writeLeased(
        this.#space,
        { digest, size },
        {
          open: once,
          ref: `${kind}-${digest}`,
          labels: { ...labels, ...this.#source },
          signal,
        },
      ),
    );
    // Told at the end, when all of them are waited for.
    written.catch(() => undefined);
    this.#writes.push(written);
  }
}
