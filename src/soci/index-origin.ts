import type { Descriptor } from "../oci/descriptor.ts";
import { isDigest } from "../oci/digest.ts";
import type { PutIndexOptions } from "./local-store.ts";

/** What a SOCI index of the local store was made of. */
export type IndexOrigin = Pick<
  PutIndexOptions,
  "imageManifest" | "imageDigest" | "platform" | "imageName"
>;

const KEYS = {
  imageManifest: "io.sociable.image.manifest",
  imageDigest: "io.sociable.image.digest",
  platform: "io.sociable.image.platform",
  imageName: "io.sociable.image.name",
} as const;

/** The entry of index.json of a SOCI index: it says again what the database says, should that get lost. */
export function entryOfOrigin(descriptor: Descriptor, origin: IndexOrigin): Descriptor {
  const { imageManifest, imageDigest, platform, imageName } = origin;
  return {
    ...descriptor,
    annotations: {
      ...descriptor.annotations,
      [KEYS.imageManifest]: imageManifest,
      [KEYS.imageDigest]: imageDigest,
      [KEYS.platform]: platform,
      [KEYS.imageName]: imageName,
    },
  };
}

/** What an entry of index.json says of where its SOCI index comes from; `undefined` when it does not. */
export function originOfEntry({ annotations = {} }: Descriptor): IndexOrigin | undefined {
  const imageManifest = annotations[KEYS.imageManifest] ?? "";
  const imageDigest = annotations[KEYS.imageDigest] ?? "";
  if (!isDigest(imageManifest) || !isDigest(imageDigest)) return undefined;
  return {
    imageManifest,
    imageDigest,
    platform: annotations[KEYS.platform] ?? "",
    imageName: annotations[KEYS.imageName] ?? "",
  };
}
