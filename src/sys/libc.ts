import { dlopen, FFIType, type Library, type Pointer, ptr, read } from "bun:ffi";

// The only file that calls into libc. Each function is one system call and returns what the kernel
// does: a result of 0 or more, or minus the errno. None allocates; buffers are passed as they are,
// so a view's length is the caller's promise that so many bytes may be touched.

// A number as long as it is a safe integer, else a bigint: no allocation for any size there is.
const I64 = FFIType.i64_fast;

const SYMBOLS = {
  __errno_location: { args: [], returns: "ptr" },
  read: { args: ["i32", "ptr", "u64"], returns: I64 },
  write: { args: ["i32", "ptr", "u64"], returns: I64 },
  pread: { args: ["i32", "ptr", "u64", I64], returns: I64 },
  pwrite: { args: ["i32", "ptr", "u64", I64], returns: I64 },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  eventfd: { args: ["u32", "i32"], returns: "i32" },
  open: { args: ["ptr", "i32", "u32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  dup2: { args: ["i32", "i32"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
  fallocate: { args: ["i32", "i32", I64, I64], returns: "i32" },
  mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
  umount2: { args: ["ptr", "i32"], returns: "i32" },
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  sendmsg: { args: ["i32", "ptr", "i32"], returns: I64 },
  recvmsg: { args: ["i32", "ptr", "i32"], returns: I64 },
  syscall: { args: [I64, I64, I64, I64], returns: I64 },
  madvise: { args: ["ptr", "u64", "i32"], returns: "i32" },
  epoll_create1: { args: ["i32"], returns: "i32" },
  epoll_ctl: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  epoll_wait: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  llistxattr: { args: ["ptr", "ptr", "u64"], returns: I64 },
  lgetxattr: { args: ["ptr", "ptr", "ptr", "u64"], returns: I64 },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: I64 },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  accept4: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
} as const;

function openLibc(): Library<typeof SYMBOLS>["symbols"] {
  // By its name in glibc, then in musl.
  const names = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
  let failure: unknown;
  for (const name of names) {
    try {
      return dlopen(name, SYMBOLS).symbols;
    } catch (error) {
      failure ??= error;
    }
  }
  throw new Error("Cannot load libc", { cause: failure });
}

const libc = openLibc();

// Thread-local: each worker evaluates this module, and asks for its own.
const errnoLocation = libc.__errno_location();

function result(returned: number | bigint): number {
  const value = Number(returned);
  return value < 0 ? -errno() : value;
}

function errno(): number {
  if (typeof errnoLocation !== "number") throw new Error("libc gives no place of errno");
  return read.i32(errnoLocation, 0);
}

function pathBytes(path: string): Uint8Array {
  return Buffer.from(`${path}\0`, "utf8");
}

/** read(2). */
export function sysRead(fd: number, buffer: Uint8Array): number {
  return result(libc.read(fd, buffer, buffer.length));
}

/** write(2). */
export function sysWrite(fd: number, buffer: Uint8Array): number {
  return result(libc.write(fd, buffer, buffer.length));
}

/** pread(2). */
export function sysPread(fd: number, buffer: Uint8Array, offset: number): number {
  return result(libc.pread(fd, buffer, buffer.length, offset));
}

/** pwrite(2). */
export function sysPwrite(fd: number, buffer: Uint8Array, offset: number): number {
  return result(libc.pwrite(fd, buffer, buffer.length, offset));
}

export const POLLIN = 1;

/** poll(2) over `struct pollfd`s packed in `fds` (8 bytes each); -1 waits for ever. */
export function sysPoll(fds: Uint8Array, timeoutMs: number): number {
  return result(libc.poll(fds, fds.length / 8, timeoutMs));
}

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

/** eventfd(2), close-on-exec and non-blocking. */
export function sysEventfd(): number {
  return result(libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

/** open(2); `flags` as of node:fs constants. */
export function sysOpen(path: string, flags: number, mode = 0o600): number {
  return result(libc.open(pathBytes(path), flags, mode));
}

/** close(2). */
export function sysClose(fd: number): number {
  return result(libc.close(fd));
}

/** dup2(2). */
export function sysDup2(fd: number, target: number): number {
  return result(libc.dup2(fd, target));
}

/** ioctl(2) with a pointer. */
export function sysIoctl(fd: number, request: number, argument: Uint8Array): number {
  return result(libc.ioctl(fd, request, argument));
}

/** fcntl(2) with a pointer, as record locks take it. */
export function sysFcntl(fd: number, command: number, argument: Uint8Array): number {
  return result(libc.fcntl(fd, command, argument));
}

export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;

/** fallocate(2). */
export function sysFallocate(fd: number, mode: number, start: number, length: number): number {
  return result(libc.fallocate(fd, mode, start, length));
}

export interface MountCall {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly flags: number;
  readonly data: string;
}

/** mount(2). */
export function sysMount({ source, target, type, flags, data }: MountCall): number {
  return result(
    libc.mount(pathBytes(source), pathBytes(target), pathBytes(type), flags, pathBytes(data)),
  );
}

export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

/** umount2(2). */
export function sysUmount(target: string, flags: number): number {
  return result(libc.umount2(pathBytes(target), flags));
}

/** socketpair(2): two descriptors, written to `fds`. */
export function sysSocketpair(domain: number, type: number, fds: Int32Array): number {
  return result(libc.socketpair(domain, type, 0, fds));
}

/** sendmsg(2); `message` is a struct msghdr. */
export function sysSendmsg(fd: number, message: Uint8Array, flags: number): number {
  return result(libc.sendmsg(fd, message, flags));
}

/** recvmsg(2); `message` is a struct msghdr. */
export function sysRecvmsg(fd: number, message: Uint8Array, flags: number): number {
  return result(libc.recvmsg(fd, message, flags));
}

const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

/** pidfd_open(2). */
export function sysPidfdOpen(pid: number): number {
  return result(libc.syscall(SYS_PIDFD_OPEN, pid, 0, 0));
}

/** pidfd_getfd(2): a copy of another process's descriptor. */
export function sysPidfdGetfd(pidfd: number, targetFd: number): number {
  return result(libc.syscall(SYS_PIDFD_GETFD, pidfd, targetFd, 0));
}

/**
 * Where the bytes are, for the calls that take an address: a part of a buffer without a view made
 * for it. It stays right as long as the array lives; no bounds are checked.
 */
export function addressOf(bytes: Uint8Array): number {
  // With a buffer of its own, the bytes lie outside the collector's heap and never move.
  return ptr(bytes.buffer) + bytes.byteOffset;
}

/** read(2) to an address of addressOf(). */
export function sysReadTo(fd: number, address: number, length: number): number {
  return result(libc.read(fd, address as Pointer, length));
}

/** write(2) from an address of addressOf(). */
export function sysWriteFrom(fd: number, address: number, length: number): number {
  return result(libc.write(fd, address as Pointer, length));
}

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
export const EPOLLIN = 1;
/** Of several threads that wait for one file, only one is woken. */
export const EPOLLEXCLUSIVE = 0x1000_0000;
const IS_PACKED = process.arch === "x64";
/** Of a struct epoll_event, which is packed on x86-64 alone. */
export const EPOLL_EVENT_BYTES = IS_PACKED ? 12 : 16;

/** epoll_create1(2), close-on-exec. */
export function sysEpollCreate(): number {
  return result(libc.epoll_create1(EPOLL_CLOEXEC));
}

/** epoll_ctl(2) that adds a file; `data` comes back with its events (epollData()). */
export function sysEpollAdd(
  epoll: number,
  fd: number,
  { events, data }: { readonly events: number; readonly data: number },
): number {
  const event = new Uint8Array(EPOLL_EVENT_BYTES);
  const view = new DataView(event.buffer);
  view.setUint32(0, events, true);
  view.setUint32(IS_PACKED ? 4 : 8, data, true);
  return result(libc.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, event));
}

/** epoll_wait(2): the number of events, as many as `events` has room for; -1 waits for ever. */
export function sysEpollWait(epoll: number, events: Uint8Array, timeoutMs: number): number {
  const room = Math.floor(events.length / EPOLL_EVENT_BYTES);
  return result(libc.epoll_wait(epoll, events, room, timeoutMs));
}

/** The `data` of an event that sysEpollWait() wrote. */
export function epollData(events: DataView, index: number): number {
  return events.getUint32(index * EPOLL_EVENT_BYTES + (IS_PACKED ? 4 : 8), true);
}

const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

/** fcntl(2): sets O_NONBLOCK, which every descriptor of the same open file then has. */
export function sysSetNonBlocking(fd: number): number {
  const flags = result(libc.fcntl(fd, F_GETFL, null));
  return flags < 0 ? flags : result(libc.fcntl(fd, F_SETFL, BigInt(flags | O_NONBLOCK)));
}

/** llistxattr(2): bytes of the names, each ended by a NUL; an empty buffer asks how many. */
export function sysListXattr(path: string | Uint8Array, names: Uint8Array): number {
  return result(libc.llistxattr(cString(path), names.length === 0 ? null : names, names.length));
}

/** lgetxattr(2): bytes of the value; an empty buffer asks how many. */
export function sysGetXattr(
  path: string | Uint8Array,
  name: string | Uint8Array,
  value: Uint8Array,
): number {
  const buffer = value.length === 0 ? null : value;
  return result(libc.lgetxattr(cString(path), cString(name), buffer, value.length));
}

function cString(text: string | Uint8Array): Uint8Array {
  return typeof text === "string" ? pathBytes(text) : Buffer.concat([text, Buffer.of(0)]);
}

const MADV_DONTNEED = 4;
// The largest page that there is: what is not a multiple of it is left alone.
const PAGE_BYTES = 64 * 1024;

/** madvise(2): gives the memory of these bytes back at once, which are undefined from then on. Not of a mapped file. */
export function sysDiscard(bytes: Uint8Array): number {
  const address = addressOf(bytes);
  const start = Math.ceil(address / PAGE_BYTES) * PAGE_BYTES;
  const end = Math.floor((address + bytes.length) / PAGE_BYTES) * PAGE_BYTES;
  return end <= start ? 0 : result(libc.madvise(start as Pointer, end - start, MADV_DONTNEED));
}

/** socket(2). */
export function sysSocket(domain: number, type: number): number {
  return result(libc.socket(domain, type, 0));
}

/** sendto(2); `address` is a struct sockaddr of just its length. */
export function sysSendTo(
  fd: number,
  bytes: Uint8Array,
  { flags, address }: { readonly flags: number; readonly address: Uint8Array },
): number {
  return result(libc.sendto(fd, bytes, bytes.length, flags, address, address.length));
}

/** bind(2); `address` is a struct sockaddr of just its length. */
export function sysBind(fd: number, address: Uint8Array): number {
  return result(libc.bind(fd, address, address.length));
}

/** listen(2). */
export function sysListen(fd: number, backlog: number): number {
  return result(libc.listen(fd, backlog));
}

/** accept4(2): a connection, whose address is not asked for. */
export function sysAccept(fd: number, flags: number): number {
  return result(libc.accept4(fd, null, null, flags));
}

/** connect(2); `address` is a struct sockaddr of just its length. */
export function sysConnect(fd: number, address: Uint8Array): number {
  return result(libc.connect(fd, address, address.length));
}

/** getsockopt(2) of an option that fills all of `value`. */
export function sysGetsockopt(fd: number, level: number, name: number, value: Uint8Array): number {
  const length = new Uint8Array(Uint32Array.of(value.length).buffer);
  return result(libc.getsockopt(fd, level, name, value, length));
}
