const FIELD_BYTES = { u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 } as const;

/** The type of a field: a little-endian integer, a number of spare bytes, or a struct within. */
export type WireField = keyof typeof FIELD_BYTES | number | WireStruct;

/** Where the fields of a C struct of the kernel's protocol stand. */
export interface WireStruct<Name extends string = string> {
  readonly bytes: number;
  /** Offset of each field. */
  readonly at: Readonly<Record<Name, number>>;
}

/** Lays fields out one after another: the protocol's structs have no holes that are not named. */
export function wireStruct<const Fields extends Readonly<Record<string, WireField>>>(
  fields: Fields,
): WireStruct<keyof Fields & string> {
  let bytes = 0;
  const at: Record<string, number> = {};
  for (const [name, field] of Object.entries(fields)) {
    at[name] = bytes;
    bytes += sizeOf(field);
  }
  return { bytes, at: at as Record<keyof Fields & string, number> }; // one for each of its names
}

function sizeOf(field: WireField): number {
  if (typeof field === "number") return field;
  return typeof field === "string" ? FIELD_BYTES[field] : field.bytes;
}

const TWO_32 = 0x1_0000_0000;
const PER_TWO_32 = 1 / TWO_32;

/** A 64-bit value as a number: exact below 2^53. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * TWO_32 + view.getUint32(at, true);
}

/** A whole number from -2^53 to 2^53, in 64 bits. */
export function writeI64(view: DataView, at: number, value: number): void {
  // `|` takes a number modulo 2^32.
  view.setInt32(at, value | 0, true);
  view.setInt32(at + 4, Math.floor(value * PER_TWO_32) | 0, true);
}
