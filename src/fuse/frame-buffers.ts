import { addressOf } from "../sys/libc.ts";
import { FUSE_MIN_READ_BUFFER } from "./abi.ts";
import { fuse_out_header } from "./abi-structs.ts";
import type { ReadTarget } from "./filesystem.ts";

/** Room in front of a reply's data and behind it: a file system that reads whole blocks of 16 KiB needs it. */
export const REPLY_SLACK = 32 << 10;
/** Only FORGETs, which come in batches, are ever this long. */
const REQUEST_BYTES = Math.max(64 << 10, FUSE_MIN_READ_BUFFER);

/** The memory that one thread's requests and replies pass through, taken once. */
export class FrameBuffers implements ReadTarget {
  readonly request: Uint8Array;
  readonly requestView: DataView;
  readonly requestAddress: number;
  /** Replies; data stands at `slack`, its header right before it. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly address: number;
  readonly slack = REPLY_SLACK;
  /** Of the data of the reply under way. */
  start = REPLY_SLACK;
  end = REPLY_SLACK;

  /** `maxRead`: most bytes of one reply's data. `request`: where requests are to stand; memory of its own else. */
  constructor(maxRead: number, request?: Uint8Array) {
    this.request = request ?? new Uint8Array(new ArrayBuffer(REQUEST_BYTES));
    this.bytes = new Uint8Array(new ArrayBuffer(2 * REPLY_SLACK + maxRead));
    const { buffer, byteOffset, byteLength } = this.request;
    this.requestView = new DataView(buffer, byteOffset, byteLength);
    this.view = new DataView(this.bytes.buffer);
    this.requestAddress = addressOf(this.request);
    this.address = addressOf(this.bytes);
  }

  /** The reply as it goes to the kernel: header and data. */
  reply(): Uint8Array {
    return this.bytes.subarray(this.start - fuse_out_header.bytes, this.end);
  }
}
