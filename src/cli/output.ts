import type { OutputStream } from "./cli-io.ts";
import { safeJson } from "./safe-json.ts";

/** One JSON document, indented by two spaces, and a newline. */
export async function writeJson(stdout: OutputStream, value: unknown): Promise<void> {
  const json = JSON.stringify(value, null, 2);
  await stdout.write(`${stdout.isTty ? safeJson(json) : json}\n`);
}
