import { open } from "node:fs/promises";
import { SociError } from "../errors.ts";
import { isErrno } from "./fs-errors.ts";
import { JsonObject, MAX_JSON_BYTES, parseJson } from "./json-document.ts";

/** https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md#oci-layout-file */
export const OCI_LAYOUT_FILE: Uint8Array = new TextEncoder().encode(
  JSON.stringify({ imageLayoutVersion: "1.0.0" }),
);

/** Checks the text of an `oci-layout` file. @throws data-loss or unsupported */
export function checkLayoutVersion(bytes: Uint8Array, path: string): void {
  const what = `"${path}"`;
  const version = new JsonObject(parseJson(bytes, what), what).string("imageLayoutVersion");
  if (version !== "1.0.0") {
    throw new SociError(
      "unsupported",
      `Cannot use ${what}: imageLayoutVersion is ${JSON.stringify(version.slice(0, 40))}, want "1.0.0"`,
    );
  }
}

export interface ReadSmallFileOptions {
  readonly maxBytes?: number;
}

/** A file's bytes, its size checked before memory is taken; absent is `undefined`. @throws data-loss when too large */
export async function readSmallFile(
  path: string,
  { maxBytes = MAX_JSON_BYTES }: ReadSmallFileOptions = {},
): Promise<Uint8Array | undefined> {
  try {
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      if (size > maxBytes) {
        throw new SociError(
          "data-loss",
          `Cannot read "${path}": it has ${size} bytes, want at most ${maxBytes}`,
        );
      }
      return new Uint8Array(await handle.readFile());
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (isErrno(cause, "ENOENT", "ENOTDIR")) {
      return undefined;
    }
    if (cause instanceof SociError) {
      throw cause;
    }
    throw new SociError("failed-precondition", `Cannot read "${path}"`, { cause });
  }
}
