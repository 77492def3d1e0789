import { open } from "node:fs/promises";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import type { FileSlice } from "./file-slice.ts";
import { isErrno } from "./fs-errors.ts";
import { JsonObject, MAX_JSON_BYTES, parseJson } from "./json-document.ts";

/** https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md#oci-layout-file */
export const OCI_LAYOUT_FILE: Uint8Array = new TextEncoder().encode(
  JSON.stringify({ imageLayoutVersion: "1.0.0" }),
);

/** The files of an OCI layout: a directory, or the members of an archive. */
export interface LayoutFiles extends AsyncDisposable {
  /** The directory or archive, for messages. */
  readonly place: string;
  /** Opens a file by its path in the layout; `undefined` when it is not there. Dispose it when read. */
  open(path: string): Promise<(FileSlice & AsyncDisposable) | undefined>;
}

/** The files of a layout directory. */
export function directoryFiles(dir: string): LayoutFiles {
  return {
    place: dir,
    open: async (path) => {
      const name = join(dir, path);
      try {
        const handle = await open(name, "r");
        const { size } = await handle.stat();
        return {
          handle,
          name: `"${name}"`,
          start: 0,
          size,
          [Symbol.asyncDispose]: () => handle.close(),
        };
      } catch (cause) {
        if (isErrno(cause, "ENOENT", "ENOTDIR")) {
          return undefined;
        }
        throw new SociError("failed-precondition", `Cannot open "${name}"`, { cause });
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

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
  options: ReadSmallFileOptions = {},
): Promise<Uint8Array | undefined> {
  await using file = await directoryFiles("").open(path);
  return file === undefined ? undefined : await readWhole(file, options);
}

/** All bytes of a slice, its size checked before memory is taken. @throws data-loss when too large or cut short */
export async function readWhole(
  { handle, name, start, size }: FileSlice,
  { maxBytes = MAX_JSON_BYTES }: ReadSmallFileOptions = {},
): Promise<Uint8Array> {
  if (size > maxBytes) {
    throw new SociError(
      "data-loss",
      `Cannot read ${name}: it has ${size} bytes, want at most ${maxBytes}`,
    );
  }
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size;) {
    const { bytesRead } = await handle.read(bytes, done, size - done, start + done);
    if (bytesRead === 0) {
      throw new SociError(
        "data-loss",
        `Cannot read ${name}: it ends at byte ${done}, want ${size}`,
      );
    }
    done += bytesRead;
  }
  return bytes;
}
