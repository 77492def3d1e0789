import { ByteCursor } from "../bytes/byte-cursor.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { SociError } from "../errors.ts";

/** What a descriptor is of: a FUSE connection, and where its mount was made. */
export interface HeldFacts {
  /** Of the mount, as stat(2) shows it: `0:52`. It is the descriptor's name. */
  readonly device: string;
  /** Absolute. */
  readonly directory: string;
  /** Whether the kernel can queue again what was read and not answered, as INIT has settled. */
  readonly resends: boolean;
}

/** One message each way for a call; a descriptor travels beside it where it says so. */
export type KeeperRequest =
  /** Keep the descriptor that comes with it, in place of one of the same device. */
  | ({ readonly kind: "put" } & HeldFacts)
  /** What is behind `after` in the order of devices, as text; from the first with "". */
  | { readonly kind: "next"; readonly after: string }
  /** Close it. One that is not held is none to close. */
  | { readonly kind: "drop"; readonly device: string }
  /**
   * This connection is the daemon's: as long as it is open nothing is given up. When it is closed and
   * no other comes within the time, all that is held is aborted.
   */
  | { readonly kind: "lease"; readonly timeoutMs: number }
  | { readonly kind: "status" }
  /** End a connection, so that nobody waits for it, and close it; with "" all of them. */
  | { readonly kind: "abort"; readonly device: string };

export type KeeperReply =
  | { readonly kind: "done" }
  /** With a copy of the descriptor. */
  | ({ readonly kind: "held" } & HeldFacts)
  /** There is no further one. */
  | { readonly kind: "end" }
  | {
      readonly kind: "status";
      readonly pid: number;
      readonly held: number;
      readonly isLeased: boolean;
    }
  | { readonly kind: "refused"; readonly reason: string };

/** Raised when a keeper and a daemon of different versions would not understand each other. */
export const KEEPER_VERSION = 1;
/** Longest message, in either direction. */
export const MAX_MESSAGE_BYTES = 8192;
const MAGIC = 0x50454b53;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
const MAX_DIRECTORY_BYTES = 4096;
const MAX_REASON_BYTES = 512;
const DEVICE = /^\d{1,5}:\d{1,10}$/;

const REQUESTS = ["put", "next", "drop", "lease", "status", "abort"] as const;
const REPLIES = ["done", "held", "end", "status", "refused"] as const;

export function encodeKeeperRequest(request: KeeperRequest): Uint8Array {
  const writer = begin(REQUESTS.indexOf(request.kind));
  switch (request.kind) {
    case "put":
      writeFacts(writer, request);
      break;
    case "next":
      writeText(writer, request.after);
      break;
    case "drop":
    case "abort":
      writeText(writer, request.device);
      break;
    case "lease":
      writer.u32le(request.timeoutMs);
      break;
    case "status":
      break;
  }
  return writer.take();
}

/** @throws data-loss; unsupported for a message of another version */
export function decodeKeeperRequest(bytes: Uint8Array): KeeperRequest {
  const cursor = open(bytes, "request to the keeper");
  const kind = REQUESTS[cursor.u8("kind")];
  const request = requestOf(kind, cursor);
  cursor.end();
  return request;
}

export function encodeKeeperReply(reply: KeeperReply): Uint8Array {
  const writer = begin(REPLIES.indexOf(reply.kind));
  switch (reply.kind) {
    case "held":
      writeFacts(writer, reply);
      break;
    case "status":
      writer.u32le(reply.pid);
      writer.u32le(reply.held);
      writer.u8(reply.isLeased ? 1 : 0);
      break;
    case "refused":
      writeText(writer, cut(reply.reason));
      break;
    case "done":
    case "end":
      break;
  }
  return writer.take();
}

/** @throws data-loss; unsupported for a message of another version */
export function decodeKeeperReply(bytes: Uint8Array): KeeperReply {
  const cursor = open(bytes, "reply of the keeper");
  const kind = REPLIES[cursor.u8("kind")];
  const reply = replyOf(kind, cursor);
  cursor.end();
  return reply;
}

function requestOf(kind: (typeof REQUESTS)[number] | undefined, cursor: ByteCursor): KeeperRequest {
  switch (kind) {
    case "put":
      return { kind, ...readFacts(cursor) };
    case "next":
      return { kind, after: readDevice(cursor, true) };
    case "drop":
      return { kind, device: readDevice(cursor, false) };
    case "abort":
      return { kind, device: readDevice(cursor, true) };
    case "lease": {
      const timeoutMs = cursor.u32le("timeout");
      if (timeoutMs > MAX_TIMEOUT_MS) throw unusable(`timeout is ${timeoutMs}`);
      return { kind, timeoutMs };
    }
    case "status":
      return { kind };
    case undefined:
      throw unusable("kind is none of a request's");
  }
}

function replyOf(kind: (typeof REPLIES)[number] | undefined, cursor: ByteCursor): KeeperReply {
  switch (kind) {
    case "done":
    case "end":
      return { kind };
    case "held":
      return { kind, ...readFacts(cursor) };
    case "status": {
      const pid = cursor.u32le("process");
      const held = cursor.u32le("count");
      return { kind, pid, held, isLeased: readFlag(cursor, "lease") };
    }
    case "refused":
      return { kind, reason: readText(cursor, "reason", MAX_REASON_BYTES) };
    case undefined:
      throw unusable("kind is none of a reply's");
  }
}

function begin(kind: number): ByteWriter {
  const writer = new ByteWriter();
  writer.u32le(MAGIC);
  writer.u8(KEEPER_VERSION);
  writer.u8(kind);
  return writer;
}

function open(bytes: Uint8Array, what: string): ByteCursor {
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw unusable(`it has ${bytes.length} bytes, want <= ${MAX_MESSAGE_BYTES}`);
  }
  const cursor = new ByteCursor(bytes, what);
  const magic = cursor.u32le("magic");
  if (magic !== MAGIC) throw unusable(`it begins with ${magic.toString(16)}`);
  const version = cursor.u8("version");
  if (version !== KEEPER_VERSION) {
    throw new SociError(
      "unsupported",
      `Cannot use ${what}: version is ${version}, want ${KEEPER_VERSION}`,
    );
  }
  return cursor;
}

function writeFacts(writer: ByteWriter, { device, directory, resends }: HeldFacts): void {
  writeText(writer, device);
  writeText(writer, directory);
  writer.u8(resends ? 1 : 0);
}

function readFacts(cursor: ByteCursor): HeldFacts {
  const device = readDevice(cursor, false);
  const directory = readText(cursor, "directory", MAX_DIRECTORY_BYTES);
  if (!directory.startsWith("/") || directory.includes("\0")) {
    throw unusable("directory is not absolute");
  }
  return { device, directory, resends: readFlag(cursor, "resends") };
}

function readFlag(cursor: ByteCursor, label: string): boolean {
  const flag = cursor.u8(label);
  if (flag > 1) throw unusable(`${label} is ${flag}`);
  return flag === 1;
}

function readDevice(cursor: ByteCursor, mayBeEmpty: boolean): string {
  const device = readText(cursor, "device", 32);
  if (!DEVICE.test(device) && !(mayBeEmpty && device === "")) throw unusable("device is none");
  return device;
}

function writeText(writer: ByteWriter, text: string): void {
  const bytes = Buffer.from(text);
  writer.u16le(bytes.length);
  writer.bytes(bytes);
}

function readText(cursor: ByteCursor, label: string, maxBytes: number): string {
  const length = cursor.u16le(label);
  if (length > maxBytes) throw unusable(`${label} has ${length} bytes, want <= ${maxBytes}`);
  const bytes = cursor.bytes(length, label);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new SociError("data-loss", `Cannot use message of a keeper: ${label} is no UTF-8`, {
      cause,
    });
  }
}

function cut(reason: string): string {
  return Buffer.from(reason)
    .subarray(0, MAX_REASON_BYTES)
    .toString()
    .replace(/\uFFFD+$/, "");
}

function unusable(fault: string): SociError {
  return new SociError("data-loss", `Cannot use message of a keeper: ${fault}`);
}
