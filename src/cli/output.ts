import type { OutputStream } from "./cli-io.ts";

/** One JSON document, indented by two spaces, and a newline. */
export async function writeJson(stdout: OutputStream, value: unknown): Promise<void> {
  await stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
