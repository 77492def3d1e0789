import { closeSync, constants, openSync } from "node:fs";
import { basename, dirname } from "node:path";
import { SociError } from "../errors.ts";
import { EAGAIN, ECONNREFUSED, EINTR, ENOENT, errnoName } from "./errno.ts";
import {
  sysAccept,
  sysBind,
  sysClose,
  sysConnect,
  sysGetsockopt,
  sysListen,
  sysSocket,
} from "./libc.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const BACKLOG = 64;
// sizeof(sun_path), of which a path's last byte is a NUL.
const MAX_ADDRESS_BYTES = 108;

/** The process at the other end of a unix socket, as it was when it connected. */
export interface SocketPeer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Listens on a unix socket whose connections keep messages apart (SOCK_SEQPACKET); non-blocking. Who
 * may connect follows from the umask. The caller closes it and removes its file.
 */
export function listenForMessages(path: string): number {
  return withAddress(path, (address) => {
    const fd = newSocket();
    const failed = Math.min(sysBind(fd, address), 0) || Math.min(sysListen(fd, BACKLOG), 0);
    if (failed === 0) return fd;
    sysClose(fd);
    throw new SociError("failed-precondition", `Cannot listen on "${path}": ${errnoName(-failed)}`);
  });
}

/** The next connection that waits, non-blocking; undefined when there is none. */
export function acceptMessages(listener: number): number | undefined {
  for (;;) {
    const fd = sysAccept(listener, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) return fd;
    if (fd === -EAGAIN) return undefined;
    if (fd !== -EINTR) {
      throw new SociError("unavailable", `Cannot accept a connection: ${errnoName(-fd)}`);
    }
  }
}

/** Connects, non-blocking. @throws not-found when nobody listens there; unavailable */
export function connectForMessages(path: string): number {
  return withAddress(path, (address) => {
    const fd = newSocket();
    const failed = sysConnect(fd, address);
    if (failed >= 0) return fd;
    sysClose(fd);
    const isNobody = failed === -ENOENT || failed === -ECONNREFUSED;
    throw new SociError(
      isNobody ? "not-found" : "unavailable",
      `Cannot connect to "${path}": ${errnoName(-failed)}`,
    );
  });
}

/** Who has connected. */
export function peerOf(socket: number): SocketPeer {
  const credentials = new Uint8Array(12);
  const failed = sysGetsockopt(socket, SOL_SOCKET, SO_PEERCRED, credentials);
  if (failed < 0) {
    throw new SociError("unavailable", `Cannot tell who has connected: ${errnoName(-failed)}`);
  }
  const view = new DataView(credentials.buffer);
  return {
    pid: view.getInt32(0, true),
    uid: view.getUint32(4, true),
    gid: view.getUint32(8, true),
  };
}

function newSocket(): number {
  const fd = sysSocket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) return fd;
  throw new SociError("unavailable", `Cannot make a socket: ${errnoName(-fd)}`);
}

/** With a path of any length: it is named by its directory's descriptor. unix(7) */
function withAddress<T>(path: string, use: (address: Uint8Array) => T): T {
  const directory = openDirectory(dirname(path));
  try {
    const name = Buffer.from(`/proc/self/fd/${directory}/${basename(path)}\0`);
    if (name.length > MAX_ADDRESS_BYTES) {
      throw new SociError("invalid-argument", `Cannot use socket "${path}": its name is too long`);
    }
    // In the machine's order, which is this one everywhere that we run.
    return use(Buffer.concat([Buffer.of(AF_UNIX, 0), name]));
  } finally {
    closeSync(directory);
  }
}

function openDirectory(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    throw new SociError("not-found", `Cannot open directory "${path}"`, { cause });
  }
}
