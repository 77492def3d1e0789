import { randomUUID } from "node:crypto";
import { rename, rm, stat, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { SociError } from "../../errors.ts";
import { isErrno } from "../../oci/fs-errors.ts";

/** Where `convert --standalone` writes. Disposing removes what is not finished and in nobody's way. */
export interface StandaloneOutput extends AsyncDisposable {
  readonly path: string;
  /** What was written takes its place. */
  finish(): Promise<void>;
}

/** Looks at the place of the output: as with the Go tool, a directory takes the place of a file, and a file not that of a directory. @throws failed-precondition, in the Go tool's words */
export async function openStandaloneOutput(
  name: string,
  { cwd, format }: { readonly cwd: string; readonly format: "oci-archive" | "oci-dir" },
): Promise<StandaloneOutput> {
  const path = resolve(cwd, name);
  const found = await statIfThere(path);
  if (format === "oci-archive") {
    if (found?.isDirectory() === true) throw failed(name, "is a directory");
    if ((await statIfThere(dirname(path))) === undefined) {
      throw failed(name, "no such file or directory");
    }
  }
  if (format === "oci-archive" || found?.isFile() !== true) {
    return {
      path,
      finish: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const beside = join(dirname(path), `.${basename(path)}.${randomUUID()}`);
  return {
    path: beside,
    finish: async () => {
      await unlink(path);
      await rename(beside, path);
    },
    [Symbol.asyncDispose]: () => rm(beside, { recursive: true, force: true }),
  };
}

async function statIfThere(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

function failed(name: string, why: string): SociError {
  return new SociError(
    "failed-precondition",
    `failed to create output tar ${name}: open ${name}: ${why}`,
  );
}
