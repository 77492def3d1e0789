import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { TarEntry } from "../../src/tar/tar-entry.ts";
import { TarScanner } from "../../src/tar/tar-scanner.ts";
import { isKind } from "../../src/errors.ts";
import { block, concat, entry, latin1, paxRecord, withChecksum } from "../tar/tar-blocks.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { peakMemory } from "./peak-memory.ts";
import { TAR_SAMPLES } from "./tar-samples.ts";

interface Scan {
  readonly entries: readonly TarEntry[];
  readonly whole: boolean;
  readonly endOffset: number;
  readonly done: boolean;
}

/** Scans in chunks of the given sizes; after an error, checks that the scanner keeps to it. */
function scan(tar: Uint8Array, sizes: readonly number[]): Scan {
  const entries: TarEntry[] = [];
  const scanner = new TarScanner({ onEntry: (found) => entries.push(found) });
  let whole = true;
  try {
    for (let at = 0, turn = 0; at < tar.length; turn++) {
      const chunk = tar.slice(at, at + (sizes[turn % sizes.length] ?? 1));
      scanner.push(chunk);
      at += chunk.length;
      chunk.fill(0xee);
    }
    scanner.finish();
  } catch (error) {
    if (!isKind(error, "data-loss")) throw error;
    whole = false;
    expect(() => scanner.push(new Uint8Array(1024))).toThrow(error);
    expect(() => scanner.finish()).toThrow(error);
  }
  return { entries, whole, endOffset: scanner.endOffset, done: scanner.done };
}

/** What each entry promises, whatever the archive. */
function expectSound(tar: Uint8Array, { entries, whole, endOffset }: Scan): void {
  let end = 0;
  for (const found of entries) {
    expect(found.headerStart).toBeGreaterThanOrEqual(end);
    expect(found.headerStart % 512).toBe(0);
    expect(found.dataStart).toBeGreaterThan(found.headerStart);
    expect(found.dataStart).toBeLessThanOrEqual(tar.length);
    expect(found.storedSize).toBeGreaterThanOrEqual(0);
    expect(Number.isSafeInteger(found.size)).toBe(true);
    end = found.dataStart + found.storedSize;
    expectSoundExtents(found);
  }
  if (whole) {
    expect(endOffset).toBeLessThanOrEqual(tar.length);
    expect(end).toBeLessThanOrEqual(endOffset);
  }
}

function expectSoundExtents({ size, sparse, sparseExtents }: TarEntry): void {
  expect(sparse).toBe(sparseExtents !== undefined);
  let end = 0;
  for (const { offset, length } of sparseExtents ?? []) {
    expect(length).toBeGreaterThan(0);
    expect(offset).toBeGreaterThanOrEqual(end);
    end = offset + length;
    expect(end).toBeLessThanOrEqual(size);
  }
}

/** Makes the checksums of what look like headers right again, so that damage behind them is seen. */
function withChecksums(bytes: Uint8Array): Uint8Array {
  const tar = bytes.slice();
  for (let at = 0; at + 512 <= tar.length; at += 512) {
    const header = tar.subarray(at, at + 512);
    const isHeader = header[263] === 0x30 || header[262] === 0x20 || header[148] === 0x30;
    if (isHeader) withChecksum(header);
  }
  return tar;
}

const chunkSizes = fc.oneof(
  fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
  fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 4 }),
);

describe("TarScanner", () => {
  fuzz(
    "reads damaged archives alike in all chunks, and refuses them with data-loss alone",
    { runs: 3000 },
    fc.record({
      tar: mutationsOf(TAR_SAMPLES),
      hasRightChecksums: fc.constantFrom(true, true, true, false),
      sizes: chunkSizes,
    }),
    ({ tar: bytes, hasRightChecksums, sizes }) => {
      const tar = hasRightChecksums ? withChecksums(bytes) : bytes;
      const whole = scan(tar, [tar.length]);
      expectSound(tar, whole);
      expect(scan(tar, sizes)).toEqual(whole);
    },
  );

  const sizeField = fc.oneof(
    fc.bigInt(0n, 2n ** 33n - 1n).map((size) => `${size.toString(8).padStart(11, "0")}\0`),
    fc
      .uint8Array({ minLength: 11, maxLength: 11 })
      .map((bytes) => `\u0080${Buffer.from(bytes).toString("latin1")}`),
    fc
      .uint8Array({ minLength: 11, maxLength: 11 })
      .map((bytes) => `\u00ff${Buffer.from(bytes).toString("latin1")}`),
    fc.uint8Array({ minLength: 12, maxLength: 12 }).map((b) => Buffer.from(b).toString("latin1")),
  );
  const typeflag = fc.oneof(
    fc.constantFrom(..."01234567SLKxgVMDNX"),
    fc.nat(255).map((flag) => String.fromCharCode(flag)),
  );

  fuzz(
    "reads or refuses headers with any size, of any type",
    { runs: 2000 },
    fc.array(
      fc.record({
        type: typeflag,
        size: sizeField,
        magic: fc.constantFrom("ustar\u000000" as const, "ustar  \0" as const, "" as const),
        body: fc.nat(3).map((blocks) => blocks * 512),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    (headers) => {
      const tar = concat(
        headers.flatMap(({ body, ...fields }) => [block(fields), new Uint8Array(body).fill(0x31)]),
      );
      expectSound(tar, scan(tar, [tar.length]));
    },
  );

  const paxKey = fc.oneof(
    fc.constantFrom("path", "linkpath", "size", "uid", "gid", "mtime", "atime", "uname", ""),
    fc
      .constantFrom(
        "major",
        "minor",
        "map",
        "numblocks",
        "offset",
        "numbytes",
        "size",
        "realsize",
        "name",
      )
      .map((key) => `GNU.sparse.${key}`),
    fc.string({ maxLength: 8 }),
  );
  const paxValue = fc.oneof(
    fc.constantFrom("0", "1", "2", "-1", "+5", "0,5", "0,5,1000,7", "9223372036854775807", "1e9"),
    fc.bigInt(-(2n ** 65n), 2n ** 65n).map(String),
    fc.array(fc.nat(5000), { maxLength: 8 }).map((numbers) => numbers.join(",")),
    fc.string({ maxLength: 30 }),
  );
  const sparseLines = fc
    .array(fc.oneof(fc.nat(6000).map(String), paxValue), { maxLength: 9 })
    .map((lines) => lines.map((line) => `${line}\n`).join(""));

  fuzz(
    "reads or refuses pax records and sparse maps of any kind",
    { runs: 4000 },
    fc.record({
      records: fc.array(fc.tuple(paxKey, paxValue), { maxLength: 6 }),
      lines: sparseLines,
      noise: fc.constantFrom("", "", "", "5 a=", "99999999999 x=y\n", "03 x\n"),
      isSparse: fc.boolean(),
    }),
    ({ records, lines, noise, isSparse }) => {
      const sparse: [string, string][] = isSparse
        ? [
            ["GNU.sparse.major", "1"],
            ["GNU.sparse.minor", "0"],
            ["GNU.sparse.realsize", "100000"],
          ]
        : [];
      const text = [...sparse, ...records].map(([key, value]) => paxRecord(key, value)).join("");
      const tar = concat([
        entry({ type: "x" }, latin1(text + noise)),
        entry({}, concat([latin1(lines), new Uint8Array(600)])),
        entry({ name: "next" }, "abc"),
        new Uint8Array(1024),
      ]);
      const whole = scan(tar, [tar.length]);
      expectSound(tar, whole);
      expect(scan(tar, [7, 600])).toEqual(whole);
    },
  );

  test.each([{ archive: "pax" }, { archive: "sparse" }, { archive: "long-names" }])(
    "holds one extension at most in memory: $archive",
    async ({ archive }) => {
      const idle = await peakMemory("tar-scanner", "nothing");
      expect((await peakMemory("tar-scanner", archive)) - idle).toBeLessThan(400 << 20);
    },
    60_000,
  );

  test("refuses an extension of more than 1 MiB before it takes memory for it", () => {
    const tar = concat([block({ type: "x", size: 2 ** 30 }), new Uint8Array(512)]);
    expect(scan(tar, [tar.length]).whole).toBe(false);
  });

  test("passes over the size of a file without its bytes", () => {
    const { entries, whole } = scan(block({ size: 8 * 2 ** 30 - 1 }), [512]);
    expect(entries.map(({ storedSize }) => storedSize)).toEqual([8 * 2 ** 30 - 1]);
    expect(whole).toBe(false);
  });
});
