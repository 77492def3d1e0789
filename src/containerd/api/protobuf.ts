import { ByteCursor } from "../../bytes/byte-cursor.ts";
import { ByteWriter } from "../../bytes/byte-writer.ts";
import { SociError } from "../../errors.ts";

// https://protobuf.dev/programming-guides/encoding/

/** How messages of one type look on the wire. */
export interface MessageCodec<T> {
  /** The message's name, for errors. */
  readonly name: string;
  /** Fields left out have their default: empty, 0, false, absent. @throws RangeError for a number that does not fit */
  encode(value: Partial<T>): Uint8Array;
  /**
   * Fields that are not known are passed over. The result holds no view of `bytes`. `into`: a message
   * of an earlier decode() that these bytes go on with; it is changed. @throws data-loss
   */
  decode(bytes: Uint8Array, into?: T): T;
  /** The message with the defaults of all fields left out. */
  create(value: Partial<T>): T;
}

/** The type of the messages of a codec. */
export type MessageOf<C> = C extends MessageCodec<infer T> ? T : never;

type Value = number | bigint | Uint8Array;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
type WireType = typeof VARINT | typeof BYTES;

interface Sink {
  readonly writer: ByteWriter;
}

/** One field: its number, its wire form and its type. */
export interface Field<T> {
  readonly number: number;
  readonly wire: WireType;
  /** A value of its own each time. */
  initial(): T;
  write(value: T, sink: Sink): void;
  /** The value after one more occurrence on the wire. */
  read(value: T, read: Value, place: string): T;
  /** Once, after the last occurrence. */
  finish?(value: T, place: string): T;
}

/** Elements of a repeated field, or pairs of a map: more is no message that anybody meant. */
const MAX_ELEMENTS = 65_536;

type Fields<T> = { readonly [K in keyof T]: Field<T[K]> };

/** A message type by its fields. */
export function message<T extends object>(name: string, fields: Fields<T>): MessageCodec<T> {
  const entries = Object.entries(fields) as [keyof T & string, Field<unknown>][];
  const byNumber = new Map(entries.map(([key, one]) => [one.number, { key, field: one }]));
  if (byNumber.size < entries.length) throw new Error(`${name} has two fields of one number`);
  const create = (value: Partial<T>): T => {
    const result: Partial<Record<keyof T, unknown>> = {};
    for (const [key, one] of entries) result[key] = value[key] ?? one.initial();
    return result as T;
  };
  return {
    name,
    create,
    encode(value) {
      const writer = new ByteWriter(128);
      for (const [key, one] of entries) {
        const set: unknown = value[key];
        if (set !== undefined) one.write(set, { writer });
      }
      return writer.take();
    },
    decode(bytes, into) {
      const cursor = new ByteCursor(bytes, name);
      const result = (into ?? create({})) as Record<keyof T, unknown>;
      const seen = new Set<keyof T & string>();
      while (cursor.remaining > 0) {
        const tag = readVarint(cursor, name);
        const number = Number(tag >> 3n);
        if (number < 1 || number > MAX_FIELD) throw badTag(name, `field number ${number}`);
        const value = readValue(cursor, Number(tag & 7n), name);
        const known = byNumber.get(number);
        if (known === undefined) continue;
        const place = `${name}.${known.key}`;
        if (known.field.wire !== Number(tag & 7n)) {
          throw badTag(place, `wire type ${tag & 7n}`, `${known.field.wire}`);
        }
        result[known.key] = known.field.read(result[known.key], value, place);
        seen.add(known.key);
      }
      for (const [key, { finish }] of entries) {
        if (finish !== undefined && seen.has(key)) {
          result[key] = finish(result[key], `${name}.${key}`);
        }
      }
      return result as T;
    },
  };
}

const MAX_FIELD = 0x1fff_ffff;

function badTag(place: string, got: string, want = "a field of protobuf 3"): SociError {
  return new SociError("data-loss", `Cannot decode ${place}: ${got}, want ${want}`);
}

function readValue(cursor: ByteCursor, wire: number, name: string): Value {
  switch (wire) {
    case VARINT:
      return readVarint(cursor, name);
    case FIXED64:
      return cursor.bytes(8, "fixed64");
    case FIXED32:
      return cursor.bytes(4, "fixed32");
    case BYTES:
      return cursor.bytes(Number(readVarint(cursor, name)), "field");
    default:
      throw badTag(name, `wire type ${wire}`);
  }
}

/** Up to 64 bits, unsigned. */
function readVarint(cursor: ByteCursor, name: string): bigint {
  let low = 0;
  let scale = 1;
  // Seven bytes have 49 bits: exact as numbers. Nearly all varints end here.
  for (let index = 0; index < 7; index += 1) {
    const byte = cursor.u8("varint");
    low += (byte & 0x7f) * scale;
    if (byte < 0x80) return BigInt(low);
    scale *= 0x80;
  }
  let value = BigInt(low);
  for (let shift = 49n; shift < 70n; shift += 7n) {
    const byte = cursor.u8("varint");
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asUintN(64, value);
  }
  throw new SociError("data-loss", `Cannot decode ${name}: a varint has more than 10 bytes`);
}

function writeVarint(writer: ByteWriter, value: bigint): void {
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    writer.u8(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  writer.u8(Number(rest));
}

function writeTag(writer: ByteWriter, number: number, wire: WireType): void {
  writer.varint(number * 8 + wire);
}

function writeBytes(writer: ByteWriter, number: number, value: Uint8Array): void {
  writeTag(writer, number, BYTES);
  writer.varint(value.length);
  writer.bytes(value);
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const TO_UTF8 = new TextEncoder();

function text(value: Value, place: string): string {
  try {
    return UTF8.decode(viewOf(value));
  } catch (cause) {
    throw new SociError("data-loss", `Cannot decode ${place}: it is not UTF-8`, { cause });
  }
}

// What a field reads has the wire type that message() compared with the field's own.
function viewOf(value: Value): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new Error("A varint came where bytes were read");
}

function bitsOf(value: Value): bigint {
  if (typeof value === "bigint") return value;
  throw new Error("Bytes came where a varint was read");
}

function safeNumber(value: bigint, place: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new SociError("data-loss", `Cannot decode ${place}: ${value}, want at most 2^53-1`);
  }
  return number;
}

function append<T>(list: readonly T[], item: T, place: string): readonly T[] {
  if (list.length >= MAX_ELEMENTS) {
    throw new SociError("data-loss", `Cannot decode ${place}: want at most ${MAX_ELEMENTS}`);
  }
  // The list is this decode()'s own, from initial().
  (list as T[]).push(item);
  return list;
}

interface IntegerRange {
  readonly min: number;
  readonly max: number;
  readonly fromBits: (bits: bigint, place: string) => number;
}

function integer(number: number, { min, max, fromBits }: IntegerRange): Field<number> {
  return {
    number,
    wire: VARINT,
    initial: () => 0,
    write(value, { writer }) {
      if (!Number.isSafeInteger(value) || value < min || value > max) {
        throw new RangeError(`Cannot write ${value}: want an integer from ${min} to ${max}`);
      }
      if (value === 0) return;
      writeTag(writer, number, VARINT);
      writeVarint(writer, BigInt(value));
    },
    read: (_, value, place) => fromBits(bitsOf(value), place),
  };
}

const MAX = Number.MAX_SAFE_INTEGER;

/** The forms of fields. Numbers beyond 2^53 are refused when they come. */
export const field = {
  string: (number: number): Field<string> => ({
    number,
    wire: BYTES,
    initial: () => "",
    write(value, { writer }) {
      if (value !== "") writeBytes(writer, number, TO_UTF8.encode(value));
    },
    read: (_, value, place) => text(value, place),
  }),

  bytes: (number: number): Field<Uint8Array> => ({
    number,
    wire: BYTES,
    initial: () => new Uint8Array(),
    write(value, { writer }) {
      if (value.length > 0) writeBytes(writer, number, value);
    },
    read: (_, value) => viewOf(value).slice(),
  }),

  bool: (number: number): Field<boolean> => ({
    number,
    wire: VARINT,
    initial: () => false,
    write(value, { writer }) {
      if (!value) return;
      writeTag(writer, number, VARINT);
      writer.u8(1);
    },
    read: (_, value) => bitsOf(value) !== 0n,
  }),

  int32: (number: number): Field<number> =>
    integer(number, {
      min: -0x8000_0000,
      max: 0x7fff_ffff,
      fromBits: (bits) => Number(BigInt.asIntN(32, bits)),
    }),

  uint32: (number: number): Field<number> =>
    integer(number, {
      min: 0,
      max: 0xffff_ffff,
      fromBits: (bits) => Number(BigInt.asUintN(32, bits)),
    }),

  int64: (number: number): Field<number> =>
    integer(number, {
      min: -MAX,
      max: MAX,
      fromBits: (bits, place) => safeNumber(BigInt.asIntN(64, bits), place),
    }),

  uint64: (number: number): Field<number> =>
    integer(number, { min: 0, max: MAX, fromBits: safeNumber }),

  /** A name for each number; the one of 0 is the default, and stands for every number without a name. */
  enum: <const Names extends readonly [string, ...string[]]>(
    number: number,
    names: Names,
  ): Field<Names[number]> => ({
    number,
    wire: VARINT,
    initial: () => names[0],
    write(value, { writer }) {
      const index = names.indexOf(value);
      if (index < 0)
        throw new RangeError(`Cannot write "${value}": want one of ${names.join(", ")}`);
      if (index === 0) return;
      writeTag(writer, number, VARINT);
      writer.varint(index);
    },
    read: (_, value) => names[Number(bitsOf(value))] ?? names[0],
  }),

  /** `undefined` when it was not sent; an empty message is not that. Of one that comes in parts the parts are merged. */
  message: <T>(number: number, codec: MessageCodec<T>): Field<T | undefined> => ({
    number,
    wire: BYTES,
    initial: () => undefined,
    write(value, { writer }) {
      if (value !== undefined) writeBytes(writer, number, codec.encode(value));
    },
    read: (earlier, value) => codec.decode(viewOf(value), earlier),
  }),

  strings: (number: number): Field<readonly string[]> => ({
    number,
    wire: BYTES,
    initial: () => [],
    write(values, { writer }) {
      for (const value of values) writeBytes(writer, number, TO_UTF8.encode(value));
    },
    read: (values, value, place) => append(values, text(value, place), place),
  }),

  messages: <T>(number: number, codec: MessageCodec<T>): Field<readonly T[]> => ({
    number,
    wire: BYTES,
    initial: () => [],
    write(values, { writer }) {
      for (const value of values) writeBytes(writer, number, codec.encode(value));
    },
    read: (values, value, place) => append(values, codec.decode(viewOf(value)), place),
  }),

  /** map<string, string>; of two values for one key the last one counts. */
  map: (number: number): Field<Readonly<Record<string, string>>> => ({
    number,
    wire: BYTES,
    initial: () => ({}),
    write(values, { writer }) {
      for (const [key, value] of Object.entries(values)) {
        writeBytes(writer, number, MAP_ENTRY.encode({ key, value }));
      }
    },
    read(values, read) {
      const { key, value } = MAP_ENTRY.decode(viewOf(read));
      // Not by assignment: a key may be "__proto__".
      Object.defineProperty(values, key, {
        value,
        enumerable: true,
        writable: true,
        configurable: true,
      });
      return values;
    },
    finish(values, place) {
      const count = Object.keys(values).length;
      if (count <= MAX_ELEMENTS) return values;
      throw new SociError(
        "data-loss",
        `Cannot decode ${place}: ${count} keys, want at most ${MAX_ELEMENTS}`,
      );
    },
  }),
} as const;

const MAP_ENTRY = message<{ readonly key: string; readonly value: string }>("map entry", {
  key: field.string(1),
  value: field.string(2),
});

/** google.protobuf.Empty */
export type Empty = Readonly<Record<never, never>>;
export const EMPTY = message<Empty>("Empty", {});
