import { fuse_in_header, fuse_out_header } from "../../src/fuse/abi-structs.ts";
import { Dispatcher } from "../../src/fuse/dispatcher.ts";
import type { RawFileSystem } from "../../src/fuse/filesystem.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";

export interface RequestHead {
  readonly opcode: number;
  readonly node?: number;
  readonly unique?: bigint;
  readonly pid?: number;
  /** Default: what it is. */
  readonly length?: number;
}

/** A request as the kernel sends it. */
export function requestFrame(
  { opcode, node = 1, unique = 7n, pid = 42, length }: RequestHead,
  body: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const frame = new Uint8Array(fuse_in_header.bytes + body.length);
  const view = new DataView(frame.buffer);
  const { at } = fuse_in_header;
  view.setUint32(at.len, length ?? frame.length, true);
  view.setUint32(at.opcode, opcode, true);
  view.setBigUint64(at.unique, unique, true);
  view.setBigUint64(at.nodeid, BigInt(node), true);
  view.setUint32(at.pid, pid, true);
  frame.set(body, fuse_in_header.bytes);
  return frame;
}

export interface Reply {
  readonly errno: number;
  readonly unique: bigint;
  readonly body: Uint8Array;
  /** Of the body. */
  readonly view: DataView;
}

/** What a reply's bytes say. Throws unless its length is right. */
export function replyOf(frame: Uint8Array): Reply {
  const header = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const { at, bytes } = fuse_out_header;
  const length = header.getUint32(at.len, true);
  if (length !== frame.length) throw new Error(`reply says ${length} bytes, has ${frame.length}`);
  const body = frame.slice(bytes);
  return {
    errno: 0 - header.getInt32(at.error, true),
    unique: header.getBigUint64(at.unique, true),
    body,
    view: new DataView(body.buffer),
  };
}

/** A dispatcher without a device: frames in, frames out. */
export class FrameHarness {
  readonly dispatcher: Dispatcher;
  readonly records: LogRecord[] = [];

  constructor(fileSystem: RawFileSystem, { maxRead = 1 << 20, fd = 99 } = {}) {
    const log = createLogger({ sink: (record) => this.records.push(record) });
    this.dispatcher = new Dispatcher({ fileSystem, maxRead, fd, log });
  }

  /** The reply to a request, or `undefined` when there is none. */
  send(frame: Uint8Array): Reply | undefined {
    const { buffers } = this.dispatcher;
    // Whatever a reply leaves out of its bytes is seen.
    buffers.bytes.fill(0xee);
    buffers.request.fill(0xdd);
    buffers.request.set(frame);
    return this.dispatcher.handle(frame.length) ? replyOf(buffers.reply()) : undefined;
  }

  /** The reply to a request that has one. */
  ask(head: RequestHead, body?: Uint8Array): Reply {
    const reply = this.send(requestFrame(head, body));
    if (reply === undefined) throw new Error(`no reply to opcode ${head.opcode}`);
    return reply;
  }
}

/** The bytes of a name with a zero byte behind it. */
export function nameBytes(name: string): Uint8Array {
  return Buffer.from(`${name}\0`, "latin1");
}

/** Little-endian integers: `[bytes, value]` each. */
export function packed(...fields: readonly (readonly [4 | 8, number | bigint])[]): Uint8Array {
  const bytes = new Uint8Array(fields.reduce((sum, [size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 4) view.setUint32(at, Number(value), true);
    else view.setBigUint64(at, BigInt(value), true);
    at += size;
  }
  return bytes;
}

/** The body of READ, READDIR and READDIRPLUS. */
export function readBody(offset: number | bigint, size: number): Uint8Array {
  return packed([8, 0], [8, offset], [4, size], [4, 0], [8, 0], [4, 0], [4, 0]);
}
