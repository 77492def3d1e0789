import { BLOCK_BYTES, TYPE_DIR, TYPE_REG, USTAR, V7 } from "../tar/tar-block.ts";

export interface ArchiveMember {
  /** At most 100 bytes of ASCII; of a directory, with a slash at its end. */
  readonly name: string;
  /** Bytes that follow; a directory has none. */
  readonly size: number;
  /** Permission bits; for all to read, by default. */
  readonly mode?: number;
}

const MAX_OCTAL_SIZE = 0o77777777777;
const ASCII = new TextEncoder();

/**
 * The header of a member of an archive that we write: root's, from 1970. The same as
 * Go's archive/tar writes, up to 8 GiB; above, the size is in base 256, as GNU tar has it.
 */
export function archiveHeader({ name, size, mode }: ArchiveMember): Uint8Array {
  const isDirectory = name.endsWith("/");
  const block = new Uint8Array(BLOCK_BYTES);
  const text = (field: { readonly start: number }, value: string) => {
    block.set(ASCII.encode(value), field.start);
  };
  const octal = (field: { readonly start: number; readonly end: number }, value: number) => {
    text(field, value.toString(8).padStart(field.end - field.start - 1, "0"));
  };
  if (name.length > V7.name.end - V7.name.start) {
    throw new RangeError(`Cannot write archive member "${name}": its name is too long`);
  }
  text(V7.name, name);
  octal(V7.mode, mode ?? (isDirectory ? 0o755 : 0o444));
  octal(V7.uid, 0);
  octal(V7.gid, 0);
  if (size <= MAX_OCTAL_SIZE) octal(V7.size, size);
  else {
    block[V7.size.start] = 0x80;
    new DataView(block.buffer).setBigUint64(V7.size.end - 8, BigInt(size));
  }
  octal(V7.mtime, 0);
  block[V7.typeflag.start] = isDirectory ? TYPE_DIR : TYPE_REG;
  text(USTAR.magic, "ustar");
  text(USTAR.version, "00");
  octal(USTAR.devmajor, 0);
  octal(USTAR.devminor, 0);
  // The checksum counts its own field as spaces.
  block.fill(0x20, V7.checksum.start, V7.checksum.end);
  const sum = block.reduce((total, byte) => total + byte, 0);
  text(V7.checksum, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}
