import { resolve } from "node:path";
import { isKind, SociError } from "../../errors.ts";
import { readSmallFile } from "../../oci/layout-files.ts";
import { parseJson } from "../../oci/json-document.ts";

/**
 * Paths of files to prefetch: those of --prefetch-file, which may hold several between commas, then those
 * of --prefetch-files-json, a JSON array. @throws invalid-argument
 */
export async function prefetchFilesOf(
  flags: {
    readonly "prefetch-file": readonly string[];
    readonly "prefetch-files-json": string | undefined;
  },
  cwd: string,
): Promise<readonly string[]> {
  const named = flags["prefetch-file"].flatMap((text) => text.split(","));
  const list = flags["prefetch-files-json"];
  return list === undefined ? named : [...named, ...(await readList(resolve(cwd, list)))];
}

async function readList(path: string): Promise<readonly string[]> {
  const what = `prefetch files "${path}"`;
  try {
    const bytes = await readSmallFile(path);
    if (bytes === undefined) {
      throw new SociError("invalid-argument", `Cannot read ${what}: there is no such file`);
    }
    const paths: unknown = parseJson(bytes, what);
    if (Array.isArray(paths) && paths.every((one) => typeof one === "string")) return paths;
  } catch (cause) {
    if (!isKind(cause, "data-loss", "failed-precondition")) throw cause;
    throw new SociError("invalid-argument", `Cannot use ${what}`, { cause });
  }
  throw new SociError("invalid-argument", `Cannot use ${what}: want a JSON array of strings`);
}
