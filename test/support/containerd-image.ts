import type { ContainerdNamespace } from "../../src/containerd/containerd-client.ts";
import { ContainerdDestination } from "../../src/containerd/containerd-destination.ts";
import { leaseForWork } from "../../src/containerd/work-lease.ts";
import type { BuiltImage, BuiltIndex } from "./image-builder.ts";

export interface PutContainerdImageOptions {
  readonly name: string;
  readonly image: BuiltImage | BuiltIndex;
  /** Blobs and manifests that are left out, as of a platform or layer that was never pulled. */
  readonly without?: readonly string[];
}

/** Puts an image into containerd, its content and its name. */
export async function putContainerdImage(
  space: ContainerdNamespace,
  { name, image, without = [] }: PutContainerdImageOptions,
): Promise<void> {
  await using lease = await leaseForWork(space, { what: "test" });
  await using destination = new ContainerdDestination({
    name,
    space: lease.space,
    image: name,
    isSourcePlace: false,
  });
  const images = "images" in image ? image.images : [image];
  for (const one of images) {
    if (without.includes(one.descriptor.digest)) continue;
    for (const { descriptor, bytes } of [one.config, ...one.layers]) {
      if (!without.includes(descriptor.digest)) {
        await destination.putBlob(descriptor, () => [bytes]);
      }
    }
    await destination.putManifest(one.descriptor, one.manifest);
  }
  await destination.finish(image.descriptor, "images" in image ? image.bytes : image.manifest);
}
