import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Builder } from "flatbuffers";
import { bytesOf } from "../../src/ztoc/encode-ztoc.ts";
import { FlatbufferWriter, MAX_FLATBUFFER_BYTES } from "../../src/ztoc/flatbuffer-writer.ts";

/** A table of scalars, a string, a byte vector and child tables. */
interface Tree {
  readonly text: Uint8Array;
  readonly blob: Uint8Array;
  readonly int8: number;
  readonly int32: number;
  readonly int64: bigint;
  readonly children: readonly Tree[];
}

const tree = treesOf(2);

function treesOf(depth: number): fc.Arbitrary<Tree> {
  return fc.record({
    text: fc.uint8Array({ maxLength: 20 }),
    blob: fc.uint8Array({ maxLength: 20 }),
    int8: fc.constantFrom(0, 1, 2),
    int32: fc.constantFrom(0, 1, -1),
    int64: fc.constantFrom(0n, 1n, -(2n ** 63n)),
    children: depth === 0 ? fc.constant([]) : fc.array(treesOf(depth - 1), { maxLength: 4 }),
  });
}

function withOurs(root: Tree): Uint8Array {
  const writer = new FlatbufferWriter();
  const write = (node: Tree): number => {
    const text = writer.string(node.text);
    const children = writer.vector(node.children.map(write));
    const blob = writer.byteVector({ size: node.blob.length, chunks: () => [node.blob] });
    writer.startTable(7);
    writer.addInt8(0, node.int8, 1);
    writer.addOffset(1, text);
    writer.addInt64(2, node.int64);
    writer.addInt32(3, node.int32);
    writer.addOffset(4, children);
    writer.addOffset(5, blob);
    return writer.endTable();
  };
  return bytesOf(writer.finish(write(root)));
}

function withGoogles(root: Tree): Uint8Array {
  const builder = new Builder(1);
  const write = (node: Tree): number => {
    const text = builder.createString(node.text);
    const offsets = node.children.map(write);
    builder.startVector(4, offsets.length, 4);
    for (const offset of offsets.toReversed()) {
      builder.addOffset(offset);
    }
    const children = builder.endVector();
    const blob = builder.createByteVector(node.blob);
    builder.startObject(7);
    builder.addFieldInt8(0, node.int8, 1);
    builder.addFieldOffset(1, text, 0);
    builder.addFieldInt64(2, node.int64, 0n);
    builder.addFieldInt32(3, node.int32, 0);
    builder.addFieldOffset(4, children, 0);
    builder.addFieldOffset(5, blob, 0);
    return builder.endObject();
  };
  builder.finish(write(root));
  return builder.asUint8Array();
}

describe("FlatbufferWriter", () => {
  test("writes the bytes of Google's builder", () => {
    fc.assert(
      fc.property(tree, (root) => {
        expect(Buffer.compare(withOurs(root), withGoogles(root))).toBe(0);
      }),
    );
  });

  test("writes the bytes of Google's builder across chunks, and for strings longer than one", () => {
    const leaf = (length: number): Tree => ({
      text: new Uint8Array(length).fill(length),
      blob: new Uint8Array(length % 7),
      int8: length % 3,
      int32: length % 2,
      int64: BigInt(length % 5),
      children: [],
    });
    const lengths = Array.from({ length: 3000 }, (_, index) => (index * 37) % 411);
    const root = { ...leaf(600_001), children: [...lengths, 300_000, 262_144].map(leaf) };
    expect(Buffer.compare(withOurs(root), withGoogles(root))).toBe(0);
  });

  test("does not read an adopted vector until it is read itself", () => {
    const writer = new FlatbufferWriter();
    let reads = 0;
    const blob = writer.byteVector({
      size: 4,
      *chunks() {
        reads++;
        yield Uint8Array.of(1, 2);
        yield Uint8Array.of(3, 4);
      },
    });
    writer.startTable(1);
    writer.addOffset(0, blob);
    const source = writer.finish(writer.endTable());
    expect(reads).toBe(0);
    expect(bytesOf(source)).toEqual(bytesOf(source));
    expect(reads).toBe(2);
  });

  test.each([
    { title: "more", chunks: [new Uint8Array(3), new Uint8Array(2)] },
    { title: "less", chunks: [new Uint8Array(3)] },
  ])("refuses a source that holds $title than it says", ({ chunks }) => {
    const writer = new FlatbufferWriter();
    const blob = writer.byteVector({ size: 4, chunks: () => chunks });
    writer.startTable(1);
    writer.addOffset(0, blob);
    const source = writer.finish(writer.endTable());
    expect(() => Array.from(source.chunks())).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
  });

  test("refuses to grow past 2 GiB", () => {
    const writer = new FlatbufferWriter();
    const add = () => writer.byteVector({ size: MAX_FLATBUFFER_BYTES - 3, chunks: () => [] });
    expect(add).toThrow(expect.objectContaining({ kind: "unsupported" }));
  });
});
