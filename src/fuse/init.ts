import { SociError } from "../errors.ts";
import {
  FUSE_ASYNC_READ,
  FUSE_AUTO_INVAL_DATA,
  FUSE_CACHE_SYMLINKS,
  FUSE_DO_READDIRPLUS,
  FUSE_EXPORT_SUPPORT,
  FUSE_HAS_RESEND,
  FUSE_INIT,
  FUSE_INIT_EXT,
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_MAX_PAGES,
  FUSE_NO_OPEN_SUPPORT,
  FUSE_NO_OPENDIR_SUPPORT,
  FUSE_PARALLEL_DIROPS,
  FUSE_POSIX_ACL,
} from "./abi.ts";
import { fuse_in_header, fuse_init_in, fuse_init_out, fuse_out_header } from "./abi-structs.ts";

/** What was agreed with the kernel. Plain data: INIT comes once, so whoever serves the mount later needs it. */
export interface FuseNegotiated {
  /** Of the protocol spoken: the lower of the kernel's and ours. */
  readonly minor: number;
  /** Of the kernel. */
  readonly kernelMinor: number;
  /** Bits of INIT that both sides have: 0 to 31, and 32 to 63. */
  readonly flags: number;
  readonly flags2: number;
  readonly maxReadahead: number;
  /** Most bytes that a READ, READDIR or READDIRPLUS asks for. */
  readonly maxRead: number;
  readonly maxBackground: number;
}

export interface FuseInitOptions {
  /** Whether POSIX ACLs are to be enforced. Default false. */
  readonly acls?: boolean;
  /** Whether the entries of the root may change: its listing is then dropped when its mtime changes. Default false. */
  readonly rootChanges?: boolean;
  /** Whether the kernel may be asked for what a former server left unanswered, where it can. Default true. */
  readonly resends?: boolean;
  /** Default 1 MiB; in steps of 4 KiB. */
  readonly maxRead?: number;
  /** Most requests under way that nobody waits for, as readahead. Default 1024. */
  readonly maxBackground?: number;
}

/** What the kernel offers. */
export interface FuseOffer {
  readonly unique: bigint;
  readonly major: number;
  readonly minor: number;
  readonly maxReadahead: number;
  readonly flags: number;
  readonly flags2: number;
}

/** READDIRPLUS, PARALLEL_DIROPS and MAX_PAGES in one; the first of it is Linux 5.4. */
const OLDEST_MINOR = 31;
const OLDEST_KERNEL = "5.4";
const PAGE_BYTES = 4096;
const DEFAULT_MAX_READ = 1 << 20;
const DEFAULT_MAX_BACKGROUND = 1024;
/** Nobody writes: the least that the kernel takes. */
const MAX_WRITE = 4096;
const MAX_READAHEAD = 128 << 20;

/** What INIT says. @throws `data-loss` for anything that is no INIT. */
export function decodeInit(request: Uint8Array): FuseOffer {
  const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
  const { at } = fuse_init_in;
  const start = fuse_in_header.bytes;
  const opcode =
    request.length < start ? undefined : view.getUint32(fuse_in_header.at.opcode, true);
  const oldest = start + at.flags2;
  if (opcode !== FUSE_INIT || request.length < oldest) {
    throw new SociError(
      "data-loss",
      `Cannot start a FUSE connection: first request has opcode ${opcode} and ${request.length} bytes, want ${FUSE_INIT} and at least ${oldest}`,
    );
  }
  const flags = view.getUint32(start + at.flags, true);
  const hasFlags2 = hasBit(flags, FUSE_INIT_EXT) && request.length >= oldest + 4;
  return {
    unique: view.getBigUint64(fuse_in_header.at.unique, true),
    major: view.getUint32(start + at.major, true),
    minor: view.getUint32(start + at.minor, true),
    maxReadahead: view.getUint32(start + at.max_readahead, true),
    flags,
    flags2: hasFlags2 ? view.getUint32(start + at.flags2, true) : 0,
  };
}

/** What we make of an offer. @throws `unsupported` for a kernel that is too old. */
export function agreeOn(
  offer: FuseOffer,
  {
    acls = false,
    rootChanges = false,
    resends = true,
    maxRead = DEFAULT_MAX_READ,
    maxBackground = DEFAULT_MAX_BACKGROUND,
  }: FuseInitOptions = {},
): FuseNegotiated {
  if (offer.major !== FUSE_KERNEL_VERSION || offer.minor < OLDEST_MINOR) {
    throw new SociError(
      "unsupported",
      `Cannot mount: the kernel speaks FUSE ${offer.major}.${offer.minor}, want ${FUSE_KERNEL_VERSION}.${OLDEST_MINOR} or newer (Linux ${OLDEST_KERNEL})`,
    );
  }
  if (!(maxRead >= PAGE_BYTES && maxRead % PAGE_BYTES === 0 && maxRead / PAGE_BYTES <= 0xffff)) {
    throw new RangeError(`Cannot read ${maxRead} bytes at once, want a multiple of ${PAGE_BYTES}`);
  }
  if (!(Number.isInteger(maxBackground) && maxBackground >= 1 && maxBackground <= 0xffff)) {
    throw new RangeError(
      `Cannot have ${maxBackground} requests in the background, want 1 to 65535`,
    );
  }
  const wanted = [
    FUSE_ASYNC_READ,
    FUSE_EXPORT_SUPPORT,
    FUSE_DO_READDIRPLUS,
    FUSE_NO_OPEN_SUPPORT,
    FUSE_PARALLEL_DIROPS,
    FUSE_MAX_PAGES,
    FUSE_CACHE_SYMLINKS,
    FUSE_NO_OPENDIR_SUPPORT,
    FUSE_INIT_EXT,
    ...(resends ? [FUSE_HAS_RESEND] : []),
    ...(acls ? [FUSE_POSIX_ACL] : []),
    ...(rootChanges ? [FUSE_AUTO_INVAL_DATA] : []),
  ];
  return {
    minor: Math.min(offer.minor, FUSE_KERNEL_MINOR_VERSION),
    kernelMinor: offer.minor,
    flags: (offer.flags & maskOf(wanted.filter((bit) => bit < 32))) >>> 0,
    flags2: (offer.flags2 & maskOf(wanted.filter((bit) => bit >= 32))) >>> 0,
    maxReadahead: Math.min(offer.maxReadahead, MAX_READAHEAD),
    maxRead,
    maxBackground,
  };
}

/** Whether both sides have a feature of abi.ts. */
export function hasFeature({ flags, flags2 }: FuseNegotiated, bit: number): boolean {
  return hasBit(bit < 32 ? flags : flags2, bit);
}

/** The reply that settles it. */
export function encodeInitReply(unique: bigint, negotiated: FuseNegotiated): Uint8Array {
  const reply = new Uint8Array(fuse_out_header.bytes + fuse_init_out.bytes);
  const header = new DataView(reply.buffer);
  header.setUint32(fuse_out_header.at.len, reply.length, true);
  header.setBigUint64(fuse_out_header.at.unique, unique, true);
  const view = new DataView(reply.buffer, fuse_out_header.bytes);
  const { at } = fuse_init_out;
  const { maxBackground } = negotiated;
  view.setUint32(at.major, FUSE_KERNEL_VERSION, true);
  view.setUint32(at.minor, negotiated.minor, true);
  view.setUint32(at.max_readahead, negotiated.maxReadahead, true);
  view.setUint32(at.flags, negotiated.flags, true);
  view.setUint16(at.max_background, maxBackground, true);
  view.setUint16(at.congestion_threshold, Math.max(1, Math.floor(maxBackground * 0.75)), true);
  view.setUint32(at.max_write, MAX_WRITE, true);
  // Nanoseconds count.
  view.setUint32(at.time_gran, 1, true);
  view.setUint16(at.max_pages, negotiated.maxRead / PAGE_BYTES, true);
  view.setUint32(at.flags2, negotiated.flags2, true);
  return reply;
}

function hasBit(mask: number, bit: number): boolean {
  return ((mask >>> (bit & 31)) & 1) === 1;
}

function maskOf(bits: readonly number[]): number {
  return bits.reduce((mask, bit) => mask | (1 << (bit & 31)), 0);
}
