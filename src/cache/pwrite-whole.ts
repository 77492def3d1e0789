import { SociError } from "../errors.ts";
import { EDQUOT, EINTR, ENOSPC, errnoName } from "../sys/errno.ts";
import { sysPwrite } from "../sys/libc.ts";

/** Writes all bytes at a place of a file; false: there is no room. @throws failed-precondition for anything else */
export function pwriteWhole(fd: number, bytes: Uint8Array, offset: number): boolean {
  for (let done = 0; done < bytes.length;) {
    const rest = done === 0 ? bytes : bytes.subarray(done);
    const count = sysPwrite(fd, rest, offset + done);
    if (count >= 0) done += count;
    else if (count === -ENOSPC || count === -EDQUOT) return false;
    else if (count !== -EINTR) {
      throw new SociError(
        "failed-precondition",
        `Cannot write ${bytes.length} bytes into the cache: ${errnoName(-count)}`,
      );
    }
  }
  return true;
}
