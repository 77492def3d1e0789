import { EINTR } from "../sys/errno.ts";
import { sysPread } from "../sys/libc.ts";

/** Fills `into` as far as the file goes; bytes read, or minus the errno when there were none. */
export function preadWhole(fd: number, into: Uint8Array, offset: number): number {
  let done = sysPread(fd, into, offset);
  if (done === into.length) return done;
  if (done === -EINTR) done = 0;
  while (done >= 0 && done < into.length) {
    const count = sysPread(fd, into.subarray(done), offset + done);
    if (count === 0) break;
    if (count > 0) done += count;
    else if (count !== -EINTR) return done === 0 ? count : done;
  }
  return done;
}
