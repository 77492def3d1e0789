import { SociError } from "../errors.ts";
import { EINTR, errnoName } from "./errno.ts";
import { sysPoll } from "./libc.ts";

export const POLLIN = 1;
export const POLLERR = 8;

/** Events of a descriptor as they are now, of those asked for and of those that poll(2) always tells. */
export function pollNow(fd: number, events = 0): number {
  const poll = new Uint8Array(8);
  const view = new DataView(poll.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, events, true);
  for (;;) {
    const ready = sysPoll(poll, 0);
    if (ready >= 0) return view.getInt16(6, true);
    if (ready !== -EINTR) {
      throw new SociError("internal", `Cannot look at a descriptor: ${errnoName(-ready)}`);
    }
  }
}
