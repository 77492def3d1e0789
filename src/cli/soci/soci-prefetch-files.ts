import { resolve } from "node:path";
import { isKind, SociError } from "../../errors.ts";
import { isErrno } from "../../oci/fs-errors.ts";
import { parseJson } from "../../oci/json-document.ts";
import { readSmallFile } from "../../oci/layout-files.ts";
import type { Logger } from "../../observability/log.ts";
import type { IndexedLayers } from "../../soci/index-layers.ts";
import type { OutputStream } from "../cli-io.ts";
import type { GoFlagValues } from "./go-flags.ts";

const FAILED = "failed to parse prefetch files: failed to load prefetch files from JSON";

/** What --prefetch-file and --prefetch-files-json name. @throws invalid-argument, in the Go tool's words */
export async function sociPrefetchFiles(
  flags: GoFlagValues,
  cwd: string,
): Promise<readonly string[]> {
  const named = flags.list("prefetch-file");
  const list = flags.text("prefetch-files-json");
  return list === "" ? named : [...named, ...(await readList(resolve(cwd, list)))];
}

/** Says what was made, and warns of files that are nowhere. */
export async function sayPrefetch(
  { prefetch, missingFiles }: Pick<IndexedLayers, "prefetch" | "missingFiles">,
  { stdout, log }: { readonly stdout: OutputStream; readonly log: Logger },
): Promise<void> {
  for (const { layer, digest } of prefetch) {
    await stdout.write(`Created prefetch artifact for layer ${layer}: ${digest}\n`);
  }
  for (const path of missingFiles) log.warn(`prefetch file ${path} not found in any layer`);
}

async function readList(path: string): Promise<readonly string[]> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readSmallFile(path);
  } catch (cause) {
    const why = isErrno(cause, "EACCES") ? "permission denied" : errorMessage(cause);
    throw failed(`failed to read JSON file: open ${path}: ${why}`, cause);
  }
  if (bytes === undefined) {
    throw failed(`failed to read JSON file: open ${path}: no such file or directory`);
  }
  const parsed = parsedOf(bytes, path);
  // As Go, to which null is a list of nothing.
  if (parsed === null) return [];
  if (Array.isArray(parsed) && parsed.every((one) => typeof one === "string")) return parsed;
  const [wrong, type] = Array.isArray(parsed)
    ? [parsed.find((one) => typeof one !== "string"), "string"]
    : [parsed, "[]string"];
  throw failed(
    `failed to parse JSON: json: cannot unmarshal ${kindOf(wrong)} into Go value of type ${type}`,
  );
}

function parsedOf(bytes: Uint8Array, path: string): unknown {
  try {
    return parseJson(bytes, `prefetch files "${path}"`);
  } catch (cause) {
    if (!isKind(cause, "data-loss")) throw cause;
    const why = isCutShort(bytes) ? "unexpected end of JSON input" : errorMessage(cause);
    throw failed(`failed to parse JSON: ${why}`, cause);
  }
}

/** Whether a text that is no JSON may only lack its end: something in it is still open. */
function isCutShort(bytes: Uint8Array): boolean {
  let depth = 0;
  let isInString = false;
  for (const token of new TextDecoder().decode(bytes).match(/\\.|["[\]{}]/gs) ?? []) {
    if (token === '"') isInString = !isInString;
    else if (isInString || token.startsWith("\\")) continue;
    else depth += token === "[" || token === "{" ? 1 : -1;
  }
  return isInString || depth > 0 || bytes.length === 0;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (value === null || typeof value === "object") return "object";
  return typeof value === "boolean" ? "bool" : typeof value;
}

function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function failed(what: string, cause?: unknown): SociError {
  return new SociError(
    "invalid-argument",
    `${FAILED}: ${what}`,
    cause === undefined ? {} : { cause },
  );
}
