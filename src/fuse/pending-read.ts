import { fuse_in_header, fuse_read_in } from "./abi-structs.ts";
import type { ReadRequest } from "./filesystem.ts";
import { readU64 } from "./wire-struct.ts";

/** The READ that stands in a request buffer; one object for all of them. */
export class PendingRead implements ReadRequest {
  readonly fd: number;
  node = 0;
  offset = 0;
  size = 0;
  pid = 0;
  readonly #view: DataView;

  constructor(fd: number, view: DataView) {
    this.fd = fd;
    this.#view = view;
  }

  get unique(): bigint {
    return this.#view.getBigUint64(fuse_in_header.at.unique, true);
  }

  /** Takes the request over. */
  take(node: number): void {
    const view = this.#view;
    const { at } = fuse_read_in;
    this.node = node;
    this.offset = readU64(view, fuse_in_header.bytes + at.offset);
    this.size = view.getUint32(fuse_in_header.bytes + at.size, true);
    this.pid = view.getUint32(fuse_in_header.at.pid, true);
  }
}
