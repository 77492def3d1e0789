import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./run-command.ts";

const READER = join(import.meta.dirname, "read-files-main.ts");

/** The command line of the reader, a program of its own: nothing of it shares a thread with a registry or a line. */
export function readerCommand(...args: readonly string[]): readonly string[] {
  return [process.execPath, READER, ...args];
}

/** Reads files whole, one after another, in a process of its own; milliseconds of each. */
export async function timeFiles(
  paths: readonly string[],
  { list, signal }: { readonly list: string; readonly signal: AbortSignal },
): Promise<readonly number[]> {
  await writeFile(list, paths.map((path) => `${path}\n`).join(""));
  const { stdout } = await runCommand(readerCommand("files", list), { signal });
  return timesOf(stdout);
}

/** What the reader has printed: milliseconds of each read. */
export function timesOf(stdout: Uint8Array): readonly number[] {
  return JSON.parse(new TextDecoder().decode(stdout)) as readonly number[];
}
