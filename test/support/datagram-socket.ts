import { dlopen, FFIType } from "bun:ffi";
import { sysClose, sysRead, sysSocket } from "../../src/sys/libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK = 2 | 0o4000;

/** A unix datagram socket as a service manager has it: at a path, or at `@NAME` without a file. */
export interface DatagramSocket extends Disposable {
  /** The next datagram that is there already; `undefined` when there is none. */
  receive(): string | undefined;
}

export function datagramSocket(name: string): DatagramSocket {
  const libc = dlopen("libc.so.6", {
    bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  });
  const fd = sysSocket(AF_UNIX, SOCK_DGRAM_NONBLOCK);
  const path = name.startsWith("@") ? `\0${name.slice(1)}` : `${name}\0`;
  const address = Buffer.concat([Buffer.of(AF_UNIX, 0), Buffer.from(path)]);
  if (libc.symbols.bind(fd, address, address.length) < 0) {
    sysClose(fd);
    throw new Error(`Cannot bind a datagram socket to ${name}`);
  }
  return {
    receive() {
      const buffer = Buffer.alloc(4096);
      const length = sysRead(fd, buffer);
      return length < 0 ? undefined : buffer.toString("utf8", 0, length);
    },
    [Symbol.dispose]() {
      sysClose(fd);
      libc.close();
    },
  };
}
