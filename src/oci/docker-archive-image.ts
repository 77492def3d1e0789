import { SociError } from "../errors.ts";
import { JsonObject, parseJson } from "./json-document.ts";
import { formatReference, parseReference } from "./reference.ts";

/** One image of an archive as `docker save` writes it. */
export interface DockerArchiveImage {
  /** Path of the config in the archive. */
  readonly config: string;
  readonly tags: readonly string[];
  /** Paths of the layers, bottom first. */
  readonly layers: readonly string[];
}

const MAX_IMAGES = 1024;
const MAX_TAGS = 1024;
const MAX_LAYERS = 4096;
const MAX_NAMES = 20;

/** Parses the manifest.json of a `docker save` archive. @throws data-loss */
export function parseDockerArchive(bytes: Uint8Array, what: string): DockerArchiveImage[] {
  const images = new JsonObject({ images: parseJson(bytes, what) }, what);
  return (images.optionalObjects("images", MAX_IMAGES) ?? []).map((image) => ({
    config: image.string("Config"),
    tags: image.optionalStrings("RepoTags", MAX_TAGS) ?? [],
    layers: image.optionalStrings("Layers", MAX_LAYERS) ?? [],
  }));
}

/** The image that a name stands for; without a name, the only one. @throws not-found, invalid-argument */
export function selectDockerImage(
  images: readonly DockerArchiveImage[],
  { place, tag }: { readonly place: string; readonly tag: string | undefined },
): DockerArchiveImage {
  const names = images.flatMap(({ tags }) => tags).slice(0, MAX_NAMES);
  const hint = names.length === 0 ? "No image in it has a name" : `It has ${names.join(", ")}`;
  if (tag !== undefined) {
    const want = formatReference(parseReference(tag));
    const found = images.find(({ tags }) => tags.some((name) => isSameName(name, want)));
    if (found === undefined) {
      throw new SociError("not-found", `Cannot find "${want}" in "${place}"`, { hint });
    }
    return found;
  }
  const [only, ...others] = images;
  if (only === undefined) {
    throw new SociError("not-found", `Cannot find an image in "${place}"`);
  }
  if (others.length > 0) {
    throw new SociError(
      "invalid-argument",
      `Cannot choose an image of "${place}": it holds ${images.length}`,
      { hint },
    );
  }
  return only;
}

function isSameName(name: string, want: string): boolean {
  try {
    return formatReference(parseReference(name)) === want;
  } catch (error) {
    // Another program's name for it, which nobody can ask for.
    if (error instanceof SociError) {
      return false;
    }
    throw error;
  }
}
