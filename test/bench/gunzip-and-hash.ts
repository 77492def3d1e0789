import type { Side } from "./run-by-turns.ts";
import { measureCommand } from "./run-command.ts";

/** The label of gunzipAndHash()'s side. */
export const GUNZIP_AND_HASH = "gzip | sha256sum";

/** What any tool does to a layer at least: decompress it and hash the tar, in two processes at once. */
export function gunzipAndHash(path: string, signal: AbortSignal): Side {
  const command = ["sh", "-c", 'gzip -dc "$1" | sha256sum', "sh", path];
  return {
    label: GUNZIP_AND_HASH,
    includes: "gzip -dc FILE | sha256sum, two processes side by side; SHA-256 of the tar",
    measure: () => measureCommand(command, { signal }),
  };
}
