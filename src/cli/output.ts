import type { OutputStream } from "./cli-io.ts";
import { formatTable } from "./table.ts";

/** One JSON document, indented by two spaces, and a newline. */
export async function writeJson(stdout: OutputStream, value: unknown): Promise<void> {
  await stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** A header and rows in columns, as formatTable() aligns them. */
export async function writeTable(
  stdout: OutputStream,
  rows: readonly (readonly string[])[],
): Promise<void> {
  await stdout.write(formatTable(rows));
}
