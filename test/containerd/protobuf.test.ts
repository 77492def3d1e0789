import { describe, expect, test } from "bun:test";
import { EMPTY, field, message } from "../../src/containerd/api/protobuf.ts";
import { SNAPSHOT_INFO, UPDATE_SNAPSHOT_REQUEST } from "../../src/containerd/api/snapshots.ts";
import { formatTimestamp, timestampMs, timestampOf } from "../../src/containerd/api/timestamp.ts";

interface Sample {
  readonly text: string;
  readonly count: number;
  readonly big: number;
  readonly isSet: boolean;
  readonly blob: Uint8Array;
  readonly kind: "none" | "one" | "two";
  readonly names: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly inner: { readonly id: number; readonly tags: readonly string[] } | undefined;
}

const INNER = message<{ readonly id: number; readonly tags: readonly string[] }>("Inner", {
  id: field.uint32(1),
  tags: field.strings(2),
});

const SAMPLE = message<Sample>("Sample", {
  text: field.string(1),
  count: field.int32(2),
  big: field.int64(3),
  isSet: field.bool(4),
  blob: field.bytes(5),
  kind: field.enum(6, ["none", "one", "two"]),
  names: field.strings(7),
  labels: field.map(8),
  inner: field.message(20, INNER),
});

const bytesOf = (hex: string): Uint8Array => Buffer.from(hex.replaceAll(" ", ""), "hex");
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("message()", () => {
  test.each([
    { title: "a string", value: { text: "testing" }, hex: "0a0774657374696e67" },
    { title: "an integer", value: { count: 150 }, hex: "109601" },
    { title: "a negative one in ten bytes", value: { count: -1 }, hex: "10ffffffffffffffffff01" },
    { title: "2^53-1", value: { big: Number.MAX_SAFE_INTEGER }, hex: "18ffffffffffffff0f" },
    { title: "a truth", value: { isSet: true }, hex: "2001" },
    { title: "a name of an enum", value: { kind: "two" as const }, hex: "3002" },
    { title: "empty elements", value: { names: ["", "a"] }, hex: "3a003a0161" },
    { title: "a map", value: { labels: { k: "v" } }, hex: "42060a016b120176" },
    { title: "an empty message", value: { inner: INNER.create({}) }, hex: "a20100" },
    { title: "nothing", value: {}, hex: "" },
  ])("writes and reads $title", ({ value, hex }) => {
    expect(hexOf(SAMPLE.encode(value))).toBe(hex);
    expect(SAMPLE.decode(bytesOf(hex))).toEqual(SAMPLE.create(value));
  });

  test("passes over fields it does not know, of every wire type", () => {
    const unknown = "f80605 fa0602abcd fd0600000000 f9060000000000000000";
    expect(SAMPLE.decode(bytesOf(`${unknown} 0a0161 ${unknown}`)).text).toBe("a");
  });

  test("merges a message that comes in parts", () => {
    const { inner } = SAMPLE.decode(bytesOf("a20105 0801 120161 a20103 120162"));
    expect(inner).toEqual({ id: 1, tags: ["a", "b"] });
  });

  test("takes the last of several values, for a key of a map as well", () => {
    const decoded = SAMPLE.decode(bytesOf("0a0161 0a0162 42060a016b120176 42060a016b120177"));
    expect(decoded).toMatchObject({ text: "b", labels: { k: "w" } });
  });

  test("keeps __proto__ as a label like any other", () => {
    const labels = Object.fromEntries([["__proto__", "x"]]);
    const decoded = SAMPLE.decode(SAMPLE.encode({ labels }));
    expect(Object.entries(decoded.labels)).toEqual([["__proto__", "x"]]);
    expect(Object.getPrototypeOf(decoded.labels)).toBe(Object.prototype);
  });

  test("keeps a byte order mark in a string", () => {
    expect(SAMPLE.decode(SAMPLE.encode({ text: "\ufeffa" })).text).toBe("\ufeffa");
  });

  test("gives what shares no memory with what it was read from", () => {
    const wire = SAMPLE.encode({ blob: Uint8Array.of(1, 2, 3) });
    const { blob } = SAMPLE.decode(wire);
    wire.fill(0);
    expect([...blob]).toEqual([1, 2, 3]);
  });

  test.each([
    { title: "another wire type", hex: "0801" },
    { title: "bytes where an integer is due", hex: "1200" },
    { title: "a group", hex: "fb06fc06" },
    { title: "field number 0", hex: "0001" },
    { title: "a field number past 2^29", hex: "8080808080808001 01" },
    { title: "a length past the end", hex: "0a0561" },
    { title: "a length of 2^64-1", hex: "0affffffffffffffffff01" },
    { title: "a varint past ten bytes", hex: "10ffffffffffffffffffff01" },
    { title: "a varint that ends early", hex: "10ff" },
    { title: "an integer past 2^53", hex: "18ffffffffffffff1f" },
    { title: "a string that is not UTF-8", hex: "0a01ff" },
    { title: "a map whose entry is cut", hex: "42020a05" },
  ])("refuses $title", ({ hex }) => {
    expect(() => SAMPLE.decode(bytesOf(hex))).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
  });

  test("refuses more elements than anybody means", () => {
    const wire = new Uint8Array(2 * 65_537).map((_, index) => (index % 2 === 0 ? 0x3a : 0));
    expect(() => SAMPLE.decode(wire)).toThrow(expect.objectContaining({ kind: "data-loss" }));
  });

  test.each([
    { title: "a fraction", value: { count: 0.5 } },
    { title: "33 bits in 32", value: { count: 2 ** 32 } },
    { title: "more than 2^53", value: { big: 2 ** 53 } },
  ])("does not write $title", ({ value }) => {
    expect(() => SAMPLE.encode(value)).toThrow(RangeError);
  });

  test("takes a number without a name as the first of an enum", () => {
    expect(SAMPLE.decode(bytesOf("3063")).kind).toBe("none");
  });

  test("reads an empty message of anything", () => {
    expect(EMPTY.decode(bytesOf("0a0161"))).toEqual({});
  });
});

test("snapshot messages keep info, labels and mask", () => {
  const info = SNAPSHOT_INFO.create({
    name: "a",
    kind: "committed",
    createdAt: { seconds: 1_700_000_000, nanos: 5 },
    labels: { "containerd.io/gc.root": "x" },
  });
  const wire = UPDATE_SNAPSHOT_REQUEST.encode({
    info,
    updateMask: { paths: ["labels.containerd.io/gc.root"] },
  });
  expect(UPDATE_SNAPSHOT_REQUEST.decode(wire)).toEqual({
    snapshotter: "",
    info,
    updateMask: { paths: ["labels.containerd.io/gc.root"] },
  });
});

describe("timestamps", () => {
  test("keep milliseconds, before 1970 too", () => {
    expect(timestampOf(-1)).toEqual({ seconds: -1, nanos: 999_000_000 });
    expect(timestampMs(timestampOf(1_700_000_000_123))).toBe(1_700_000_000_123);
  });

  test("print as Go's", () => {
    expect(formatTimestamp({ seconds: 0, nanos: 0 })).toBe("1970-01-01T00:00:00Z");
    expect(formatTimestamp({ seconds: 1, nanos: 1_500_000 })).toBe("1970-01-01T00:00:01.0015Z");
  });
});
