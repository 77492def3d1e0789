import { SociError } from "../errors.ts";
import { formatReference, parseReference } from "../oci/reference.ts";

const PREFIX = "containerd:";

/** The name in containerd of an image that is named `containerd:REF`, made complete as containerd's clients do; `undefined` for other names. @throws invalid-argument */
export function parseContainerdName(text: string): string | undefined {
  if (!text.startsWith(PREFIX)) return undefined;
  const name = text.slice(PREFIX.length);
  if (name === "") {
    throw new SociError(
      "invalid-argument",
      `Cannot parse image name ${JSON.stringify(text)}: want containerd:REF`,
    );
  }
  return formatReference(parseReference(name));
}
