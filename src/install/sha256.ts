import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { isErrno } from "../oci/fs-errors.ts";

/** In hex. */
export function sha256OfBytes(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** In hex; `undefined` when there is no such file. */
export async function sha256OfFile(path: string): Promise<string | undefined> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
      hash.update(chunk);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
  return hash.digest("hex");
}
