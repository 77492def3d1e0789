import type { Platform } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Artifact } from "../../soci/artifact.ts";
import { openContainerdImage } from "./containerd-image.ts";
import { listSociManifests } from "./list-soci-manifests.ts";
import type { SociContext } from "./soci-context.ts";
import { newestRows } from "./soci-listed.ts";
import type { SociStore } from "./soci-store.ts";

export interface IndexesOfImageOptions {
  readonly context: SociContext;
  readonly store: SociStore;
  /** Default: all there are. */
  readonly platforms?: readonly Platform[] | undefined;
}

/** The indexes of an image in containerd, newest first, of some platforms or all. @throws not-found, in the Go tool's words */
export async function indexesOfImage(
  image: string,
  options: IndexesOfImageOptions,
): Promise<readonly Artifact[]> {
  const imageManifests = await manifestsOfImage(image, options);
  return newestRows(options.store.artifacts.listIndexes({ imageManifests }));
}

/** The same, platform by platform in the image's order, those of one by their digests. */
export async function indexesByPlatform(
  image: string,
  options: IndexesOfImageOptions,
): Promise<readonly Artifact[]> {
  const imageManifests = await manifestsOfImage(image, options);
  const indexes = newestRows(options.store.artifacts.listIndexes({ imageManifests }));
  const place = ({ ociDigest }: Artifact): number => imageManifests.indexOf(ociDigest);
  return indexes.toSorted(
    (one, other) => place(one) - place(other) || (one.digest < other.digest ? -1 : 1),
  );
}

async function manifestsOfImage(
  image: string,
  { context, platforms }: IndexesOfImageOptions,
): Promise<readonly Digest[]> {
  const space = await context.connect();
  await using source = openContainerdImage(image, { space, context });
  return await listSociManifests(source, { platforms, signal: context.signal });
}
