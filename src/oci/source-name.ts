import { SociError } from "../errors.ts";
import { formatReference, parseReference, type Reference } from "./reference.ts";

/** Where an image is, as the user named it. */
export type SourceName =
  | { readonly transport: "registry"; readonly reference: Reference }
  | {
      readonly transport: "oci" | "oci-archive" | "docker-archive";
      readonly path: string;
      /** A tag, or a digest of an entry; of docker archives, a name. */
      readonly tag: string | undefined;
    };

const TRANSPORT =
  /^(oci|oci-archive|docker-archive|containerd|docker|dir|docker-daemon|containers-storage|ostree|sif|tarball):(.*)$/s;

/**
 * Parses an image's name as skopeo spells it: `REF` (or `docker://REF`), `oci:DIR[:TAG]`,
 * `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`. @throws invalid-argument, unsupported
 */
export function parseSourceName(text: string): SourceName {
  const [, transport, rest = ""] = TRANSPORT.exec(text) ?? [];
  switch (transport) {
    case "oci":
    case "oci-archive":
    case "docker-archive":
      return { transport, ...splitPath(text, rest) };
    case "docker":
      if (rest.startsWith("//")) {
        return { transport: "registry", reference: parseReference(rest.slice(2)) };
      }
      break;
    case "containerd":
      throw new SociError(
        "unsupported",
        `Cannot open ${JSON.stringify(text)}: containerd's store`,
        {
          hint: "Name the image in its registry, or export it: ctr images export FILE REF, then oci-archive:FILE",
        },
      );
    case undefined:
      break;
    default:
      // "dir:1" is also a good name of an image; a path behind it is not.
      if (rest.startsWith("/") || rest.startsWith(".")) {
        throw new SociError(
          "unsupported",
          `Cannot open ${JSON.stringify(text)}: "${transport}:" names are not read`,
          { hint: "Copy it with skopeo to oci:DIR first" },
        );
      }
  }
  return { transport: "registry", reference: parseReference(text) };
}

/** The name in full, for messages. */
export function formatSourceName(name: SourceName): string {
  if (name.transport === "registry") {
    return formatReference(name.reference);
  }
  return `${name.transport}:${name.path}${name.tag === undefined ? "" : `:${name.tag}`}`;
}

// As skopeo does: the path ends at the first colon.
function splitPath(
  text: string,
  rest: string,
): { readonly path: string; readonly tag: string | undefined } {
  const colon = rest.indexOf(":");
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  if (path === "" || tag === "") {
    throw new SociError(
      "invalid-argument",
      `Cannot parse image name ${JSON.stringify(text)}: ${path === "" ? "its path" : "its tag"} is empty`,
    );
  }
  return { path, tag };
}
