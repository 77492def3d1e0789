declare const byteNameBrand: unique symbol;

/**
 * A name or path as bytes: one character (U+0000 to U+00FF) a byte. File names are bytes, not text:
 * two names that are not UTF-8 stay different, and comparing strings compares the bytes.
 */
export type ByteName = string & { readonly [byteNameBrand]: true };

/** The name that these bytes spell; nothing is lost. */
export function byteNameOf(bytes: Uint8Array): ByteName {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1") as ByteName;
}

/** The name that this text spells in UTF-8. */
export function byteNameOfText(text: string): ByteName {
  return Buffer.from(text, "utf8").toString("latin1") as ByteName;
}

/** The bytes of a name, as they go to a terminal, a file or the kernel. */
export function bytesOfName(name: ByteName): Uint8Array {
  return Buffer.from(name, "latin1");
}

/** For messages only: as UTF-8, quoted, cut at 200 bytes. */
export function quoteName(name: string): string {
  const shown = Buffer.from(name.slice(0, 200), "latin1").toString("utf8");
  return JSON.stringify(name.length > 200 ? `${shown}…` : shown);
}

/** A path of these components; the root is the empty path. */
export function joinNames(parts: readonly ByteName[]): ByteName {
  return parts.join("/") as ByteName;
}

/**
 * Components of a path, cleaned as text: empty and `.` ones go, `..` takes away the one before it
 * and nothing at the root, so that no path leaves the root. Follows `base` unless absolute.
 */
export function cleanPath(path: ByteName, base: readonly ByteName[] = []): ByteName[] {
  const parts = path.startsWith("/") ? [] : [...base];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part as ByteName);
  }
  return parts;
}
