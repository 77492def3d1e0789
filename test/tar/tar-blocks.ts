/** Fields of a header block that a test wants to set; numbers are written as octal. */
export interface BlockFields {
  readonly name?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** A string is written as it is. */
  readonly size?: number | string;
  readonly mtime?: number | string;
  readonly type?: string;
  readonly linkname?: string;
  readonly magic?: "ustar\u000000" | "ustar  \0" | "";
  readonly uname?: string;
  readonly gname?: string;
  readonly prefix?: string;
  /** Bytes put at an offset after everything else, before the checksum. */
  readonly patches?: readonly { readonly at: number; readonly text: string }[];
}

export const END = new Uint8Array(1024);

/** One header block with a right checksum. */
export function block({
  name = "file",
  mode = 0o644,
  uid = 0,
  gid = 0,
  size = 0,
  mtime = 1_600_000_000,
  type = "0",
  linkname = "",
  magic = "ustar\u000000",
  uname = "",
  gname = "",
  prefix = "",
  patches = [],
}: BlockFields = {}): Uint8Array {
  const bytes = new Uint8Array(512);
  put(bytes, 0, name);
  put(bytes, 100, `${octal(mode, 7)}\0`);
  put(bytes, 108, `${octal(uid, 7)}\0`);
  put(bytes, 116, `${octal(gid, 7)}\0`);
  put(bytes, 124, typeof size === "number" ? `${octal(size, 11)}\0` : size);
  put(bytes, 136, typeof mtime === "number" ? `${octal(mtime, 11)}\0` : mtime);
  put(bytes, 156, type);
  put(bytes, 157, linkname);
  put(bytes, 257, magic);
  put(bytes, 265, uname);
  put(bytes, 297, gname);
  put(bytes, 345, prefix);
  for (const { at, text } of patches) {
    put(bytes, at, text);
  }
  return withChecksum(bytes);
}

/** Puts the right checksum into a header block, in place. */
export function withChecksum(bytes: Uint8Array): Uint8Array {
  put(bytes, 148, " ".repeat(8));
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  put(bytes, 148, `${octal(sum, 6)}\0 `);
  return bytes;
}

/** A header block and its data, padded. The size is that of the data unless the fields say another. */
export function entry(fields: BlockFields, data: string | Uint8Array = ""): Uint8Array {
  const body = typeof data === "string" ? latin1(data) : data;
  return concat([block({ size: body.length, ...fields }), padded(body)]);
}

/** A pax header with records; values are latin1 text. */
export function pax(records: readonly (readonly [string, string])[], type = "x"): Uint8Array {
  return entry({ name: "PaxHeaders/x", type }, records.map(([k, v]) => paxRecord(k, v)).join(""));
}

export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (`${length}${rest}`.length !== length) {
    length++;
  }
  return `${length}${rest}`;
}

export function padded(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(body.length / 512) * 512);
  bytes.set(body);
  return bytes;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function put(bytes: Uint8Array, at: number, text: string): void {
  bytes.set(latin1(text), at);
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}
