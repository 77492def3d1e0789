import { isKind, SociError } from "../../errors.ts";
import { formatSourceName, parseSourceName } from "../../oci/source-name.ts";
import type { Artifact } from "../../soci/artifact.ts";
import type { LocalStore } from "../../soci/local-store.ts";
import { parseContainerdName } from "../containerd-name.ts";

/**
 * The SOCI indexes that were created for an image, newest first, by its name in short or in full.
 * @throws not-found when there is none
 */
export function indexesOfImage(
  { artifacts }: Pick<LocalStore, "artifacts">,
  ref: string,
): readonly Artifact[] {
  const wanted = fullName(ref);
  const found = artifacts.listIndexes().filter(({ imageName }) => fullName(imageName) === wanted);
  if (found.length === 0) {
    throw new SociError(
      "not-found",
      `Cannot find a SOCI index of image ${JSON.stringify(ref)}: the local store lists none`,
      { hint: "sociable index list shows the indexes that are there" },
    );
  }
  return found;
}

function fullName(text: string): string {
  try {
    const image = parseContainerdName(text);
    if (image !== undefined) return `containerd:${image}`;
    return formatSourceName(parseSourceName(text));
  } catch (error) {
    // Not a name of today's forms: then only the same spelling is the same image.
    if (isKind(error, "invalid-argument", "unsupported")) return text;
    throw error;
  }
}
