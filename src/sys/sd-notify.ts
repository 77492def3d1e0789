import { SociError } from "../errors.ts";
import { EAGAIN, EINTR, errnoName } from "./errno.ts";
import { sysClose, sysSendTo, sysSocket } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MSG_NOSIGNAL = 0x4000;
// sizeof(sun_path), of which a path's last byte is a NUL.
const MAX_ADDRESS_BYTES = 108;
const TRIES = 50;
const RETRY_MS = 20;

/** `READY=1`: started; `STOPPING=1`: about to end. Several stand on a line each. */
export type ServiceState = "READY=1" | "STOPPING=1";

/**
 * Tells the service manager how the process is, at the socket that it has named ($NOTIFY_SOCKET); does
 * nothing where it has named none. sd_notify(3).
 * @throws failed-precondition when there is a socket that takes nothing
 */
export async function notifyServiceManager(
  state: ServiceState,
  { socket }: { readonly socket: string | undefined },
): Promise<void> {
  if (socket === undefined || socket === "") return;
  const address = addressOfSocket(socket);
  const fd = sysSocket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) throw unsent(socket, errnoName(-fd));
  try {
    const bytes = Buffer.from(state);
    for (let tries = 1; ; tries += 1) {
      const sent = sysSendTo(fd, bytes, { flags: MSG_NOSIGNAL, address });
      if (sent >= 0) return;
      // The manager has not read what it was told before.
      if ((sent !== -EAGAIN && sent !== -EINTR) || tries === TRIES) {
        throw unsent(socket, errnoName(-sent));
      }
      await Bun.sleep(RETRY_MS);
    }
  } finally {
    sysClose(fd);
  }
}

/** A struct sockaddr_un: a path, or a name without a file after `@`. unix(7) */
function addressOfSocket(socket: string): Uint8Array {
  const isAbstract = socket.startsWith("@");
  if (!isAbstract && !socket.startsWith("/"))
    throw unsent(socket, "it is neither a path nor @NAME");
  const name = isAbstract ? `\0${socket.slice(1)}` : `${socket}\0`;
  const path = Buffer.from(name);
  if (path.length > MAX_ADDRESS_BYTES) {
    throw unsent(socket, `it has ${path.length} bytes, want at most ${MAX_ADDRESS_BYTES}`);
  }
  // In the machine's order, which is this one everywhere that we run.
  const family = Buffer.of(AF_UNIX, 0);
  return Buffer.concat([family, path]);
}

function unsent(socket: string, why: string): SociError {
  return new SociError(
    "failed-precondition",
    `Cannot tell the service manager at ${JSON.stringify(socket.slice(0, 120))}: ${why}`,
  );
}
