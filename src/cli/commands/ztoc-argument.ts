import { resolve } from "node:path";
import { SociError } from "../../errors.ts";
import { type Digest, digestOf, parseDigest } from "../../oci/digest.ts";
import { readSmallFile } from "../../oci/layout-files.ts";
import type { LocalStore } from "../../soci/local-store.ts";
import { decodeZtoc } from "../../ztoc/decode-ztoc.ts";
import { MAX_FLATBUFFER_BYTES } from "../../ztoc/flatbuffer-writer.ts";
import type { Ztoc } from "../../ztoc/ztoc.ts";

/** A zTOC that the command line names. */
export interface NamedZtoc {
  readonly ztoc: Ztoc;
  readonly digest: Digest;
  /** Bytes of the zTOC. */
  readonly size: number;
}

export interface ReadZtocOptions {
  readonly cwd: string;
  /** Called only when the zTOC is to be had from the store. */
  readonly store: () => Promise<Pick<LocalStore, "artifacts" | "readZtoc">>;
}

/** Whether an argument names a zTOC in the store; else it is a file. */
export function namesDigest(text: string): boolean {
  return text.startsWith("sha256:");
}

/** Reads a zTOC by its digest or from a file. @throws invalid-argument, not-found, failed-precondition, data-loss */
export async function readZtoc(text: string, options: ReadZtocOptions): Promise<NamedZtoc> {
  const { bytes, digest } = namesDigest(text)
    ? await readFromStore(parseDigest(text), options)
    : await readFromFile(text, options);
  try {
    return { ztoc: decodeZtoc(bytes), digest, size: bytes.length };
  } catch (cause) {
    throw cause instanceof SociError
      ? new SociError(cause.kind, `Cannot use zTOC ${JSON.stringify(text)}`, { cause })
      : cause;
  }
}

async function readFromStore(digest: Digest, { store }: ReadZtocOptions) {
  const opened = await store();
  const artifact = opened.artifacts.get(digest);
  if (artifact === undefined) {
    throw new SociError(
      "not-found",
      `Cannot find zTOC ${digest}: the local store does not list it`,
      {
        hint: "sociable ztoc list shows the zTOCs that are there",
      },
    );
  }
  if (artifact.type !== "soci_layer") {
    throw new SociError(
      "failed-precondition",
      `Cannot use ${digest} as a zTOC: it is a ${artifact.type === "soci_index" ? "SOCI index" : "prefetch artifact"}`,
      artifact.type === "soci_index" ? { hint: `use sociable index info ${digest}` } : {},
    );
  }
  return { bytes: await opened.readZtoc(digest), digest };
}

async function readFromFile(name: string, { cwd }: ReadZtocOptions) {
  const bytes = await readSmallFile(resolve(cwd, name), { maxBytes: MAX_FLATBUFFER_BYTES });
  if (bytes === undefined) {
    throw new SociError("not-found", `Cannot open ${JSON.stringify(name)}: there is no such file`, {
      hint: "want a zTOC's digest as sha256:<64 hex digits>, or a file",
    });
  }
  return { bytes, digest: digestOf(bytes) };
}
