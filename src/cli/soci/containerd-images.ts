import type { WaitOptions } from "../../async/wait-options.ts";
import type { ContainerdNamespace } from "../../containerd/containerd-client.ts";
import { ContainerdSource } from "../../containerd/containerd-source.ts";
import { isKind } from "../../errors.ts";
import type { Platform } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import type { ImageSource } from "../../oci/image-source.ts";
import { parseManifest } from "../../oci/manifest.ts";
import { isConfigType, isIndexType } from "../../oci/media-types.ts";
import { readImagePlatform } from "../../oci/resolve-image.ts";
import { IMAGE_MANIFEST_ANNOTATION, SOCI_INDEX_V2 } from "../../soci/annotations.ts";

/** A manifest of an image in containerd. */
export interface ImageManifestOrigin {
  /** The image's name. */
  readonly name: string;
  /** What the name stands for. */
  readonly root: Digest;
  readonly manifest: Digest;
  readonly platform: Platform | undefined;
  /** The v2 SOCI index that the image's index lists for it. */
  readonly sociIndex: Digest | undefined;
}

/** Every manifest of every image of a namespace that can be read there; what is not there, or is no document, is left out. */
export async function listImageManifests(
  space: ContainerdNamespace,
  { signal }: WaitOptions = {},
): Promise<readonly ImageManifestOrigin[]> {
  const found: ImageManifestOrigin[] = [];
  for (const { name } of await space.images.list([], { signal })) {
    await using source = new ContainerdSource({ name, space, image: name });
    try {
      found.push(...(await manifestsOf(source, name, { signal })));
    } catch (error) {
      // An image that is partly there, or not one that we can read, is none that has indexes of ours.
      if (!isKind(error, "not-found", "data-loss", "unsupported")) throw error;
    }
  }
  return found;
}

async function manifestsOf(
  source: ImageSource,
  name: string,
  { signal }: WaitOptions,
): Promise<readonly ImageManifestOrigin[]> {
  const root = await source.root({ signal });
  const bytes = await source.manifest(root, { signal });
  const { mediaType } = root;
  const parsed = parseManifest(bytes, { mediaType, what: `manifest ${root.digest}` });
  if (parsed.kind === "manifest") {
    const platform = await readImagePlatform(source, parsed, { signal });
    return [{ name, root: root.digest, manifest: root.digest, platform, sociIndex: undefined }];
  }
  const sociIndexes = new Map(
    parsed.manifests
      .filter(({ artifactType }) => artifactType === SOCI_INDEX_V2)
      .map((entry) => [entry.annotations?.[IMAGE_MANIFEST_ANNOTATION] ?? "", entry] as const),
  );
  return parsed.manifests
    .filter(
      ({ mediaType: type, artifactType }) =>
        !isIndexType(type) && (artifactType === undefined || isConfigType(artifactType)),
    )
    .map(({ digest, platform }) => {
      const sociIndex = sociIndexes.get(digest);
      return {
        name,
        root: root.digest,
        manifest: digest,
        platform: sociIndex?.platform ?? platform,
        sociIndex: sociIndex?.digest,
      };
    });
}
