import { openRegistryClient } from "../../src/oci/open-image-source.ts";
import { parseReference, type TagName } from "../../src/oci/reference.ts";
import type { RegistryClient } from "../../src/oci/registry.ts";
import type { BuiltImage, BuiltIndex } from "../support/image-builder.ts";

/** Pushes an image over the protocol: what a registry of others can be given. */
export async function pushImage(name: string, image: BuiltImage | BuiltIndex): Promise<void> {
  const reference = parseReference(name);
  const client = openRegistryClient(reference);
  await put(client, image, reference.tag);
}

async function put(
  client: RegistryClient,
  image: BuiltImage | BuiltIndex,
  tag?: TagName,
): Promise<void> {
  const named = tag === undefined ? {} : { reference: tag };
  const { mediaType } = image.descriptor;
  if ("images" in image) {
    for (const one of image.images) await put(client, one);
    await client.putManifest(image.bytes, { mediaType, ...named });
    return;
  }
  for (const { descriptor, bytes } of [image.config, ...image.layers]) {
    await client.uploadBlob(descriptor, () => [bytes]);
  }
  await client.putManifest(image.manifest, { mediaType, ...named });
}
