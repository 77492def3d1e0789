import { expect } from "bun:test";
import fc from "fast-check";
import { FUSE_COPY_FILE_RANGE_64 } from "../../src/fuse/abi.ts";
import { FrameHarness, requestFrame } from "../support/fuse-frame.ts";
import { MemoryFileSystem } from "../support/memory-file-system.ts";
import { fuzz } from "./fuzz.ts";

const fs = new MemoryFileSystem();
const inner = fs.directory(1, "inner", { xattrs: { "user.a": "b" } });
fs.file(inner, "file", { content: Buffer.from("content"), size: 100_000 });
fs.symlink(1, "link", "inner/file");
const harness = new FrameHarness(fs, { maxRead: 1 << 16 });
const LARGEST_REPLY = 16 + (1 << 16);

const body = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc.constantFrom("inner\0", "link\0", ".\0", "..\0").map((text) => Buffer.from(text)),
  fc.tuple(fc.bigInt(0n, 2n ** 64n - 1n), fc.nat(1 << 17)).map(([offset, size]) => {
    const bytes = new Uint8Array(40);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(8, offset, true);
    view.setUint32(16, size, true);
    return bytes;
  }),
);

fuzz(
  "Dispatcher answers any request at most once, within what was agreed, and never throws",
  { runs: 3000 },
  fc.record({
    opcode: fc.oneof(fc.integer({ min: 0, max: FUSE_COPY_FILE_RANGE_64 + 3 }), fc.nat()),
    node: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.maxSafeNat()),
    unique: fc.bigInt(0n, 2n ** 64n - 1n),
    body,
    cut: fc.option(fc.nat(60), { freq: 4 }),
    lie: fc.option(fc.nat(), { freq: 8 }),
  }),
  ({ opcode, node, unique, body: bytes, cut, lie }) => {
    const length = lie === null ? {} : { length: lie };
    const whole = requestFrame({ opcode, node, unique, ...length }, bytes);
    const frame = cut === null ? whole : whole.subarray(0, cut);
    const reply = harness.send(frame);
    if (reply === undefined) return;
    expect(reply.unique).toBe(unique);
    expect(reply.body.length).toBeLessThanOrEqual(LARGEST_REPLY);
    // The kernel takes errors of 0 to 511, and no data with one.
    expect(reply.errno >= 0 && reply.errno < 512).toBe(true);
    if (reply.errno !== 0) expect(reply.body).toHaveLength(0);
  },
);
