import { writeFile } from "node:fs/promises";

/**
 * Has the kernel read ahead on a mount by so many bytes; INIT can only lower its 128 KiB. False
 * where that is not allowed (it takes root), and the mount works all the same.
 */
export async function setReadahead(device: string, bytes: number): Promise<boolean> {
  try {
    await writeFile(`/sys/class/bdi/${device}/read_ahead_kb`, String(Math.floor(bytes / 1024)));
    return true;
  } catch {
    return false;
  }
}
