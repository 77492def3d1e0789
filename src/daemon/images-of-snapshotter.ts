import type { WaitOptions } from "../async/wait-options.ts";
import type { ContainerdClient, ContainerdNamespace } from "../containerd/containerd-client.ts";
import { isKind } from "../errors.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import { parseManifest } from "../oci/manifest.ts";

const MAX_IMAGES = 1000;
const MAX_BYTES = 4 << 20;

/**
 * Names of the images that containerd has unpacked with a snapshotter, as `namespace/name`, at most a
 * thousand. @throws unavailable when containerd does not answer
 */
export async function imagesOfSnapshotter(
  client: ContainerdClient,
  { snapshotter, signal }: WaitOptions & { readonly snapshotter: string },
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { name: namespace } of await client.namespaces.list({ signal })) {
    const space = client.namespace(namespace);
    const label = `containerd.io/gc.ref.snapshot.${snapshotter}`;
    const configs = new Set<string>();
    for await (const { digest } of space.content.list([`labels.${JSON.stringify(label)}`], {
      signal,
    })) {
      configs.add(digest);
    }
    if (configs.size === 0) continue;
    for (const { name, target } of await space.images.list([], { signal })) {
      if (found.length >= MAX_IMAGES) return found;
      if (target === undefined || !isDigest(target.digest)) continue;
      const ofImage = await configsOf(space, target.digest, { signal });
      if (ofImage.some((config) => configs.has(config))) found.push(`${namespace}/${name}`);
    }
  }
  return found;
}

async function configsOf(
  space: ContainerdNamespace,
  digest: Digest,
  { depth = 0, ...options }: WaitOptions & { readonly depth?: number },
): Promise<readonly Digest[]> {
  const info = await space.content.info(digest, options);
  if (info === undefined || info.size > MAX_BYTES) return [];
  const chunks: Uint8Array[] = [];
  for await (const chunk of space.content.read({ digest, size: info.size }, options)) {
    chunks.push(chunk);
  }
  try {
    const parsed = parseManifest(Buffer.concat(chunks));
    if (parsed.kind === "manifest") return [parsed.config.digest];
    // One level: an index in an index is no image that anybody has unpacked.
    if (depth > 0) return [];
    const nested = parsed.manifests.map((manifest) =>
      configsOf(space, manifest.digest, { ...options, depth: 1 }),
    );
    return (await Promise.all(nested)).flat();
  } catch (error) {
    // What is no image has no snapshots either.
    if (isKind(error, "data-loss", "unsupported", "invalid-argument")) return [];
    throw error;
  }
}
