import { writeFile } from "node:fs/promises";

/** Why caches cannot be dropped and file systems mounted here, or undefined. */
export function whyNoMounts(): string | undefined {
  return process.geteuid?.() === 0 ? undefined : "not root";
}

/** Has the kernel forget every page, name and inode that it can read again. What is not written yet stays. */
export async function dropCaches(): Promise<void> {
  await writeFile("/proc/sys/vm/drop_caches", "3");
}
