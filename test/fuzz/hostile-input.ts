// Works through one hostile input in a process of its own, so that its peak of memory can be seen.
// Usage: bun hostile-input.ts DECODER INPUT
import { gzipSync } from "node:zlib";
import { Builder } from "flatbuffers";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { isKind } from "../../src/errors.ts";
import { mergeLayers } from "../../src/tree/merge-layers.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import { ZtocBuilder } from "../../src/ztoc/ztoc-builder.ts";
import { COMPRESSION_INFO, FILE_METADATA, TOC, XATTR, ZTOC } from "../../src/ztoc/ztoc-schema.ts";
import { TarScanner } from "../../src/tar/tar-scanner.ts";
import { file, layer } from "../tree/toc-entries.ts";
import { concat, entry, latin1, pax } from "../tar/tar-blocks.ts";

type Inputs = Readonly<Record<string, () => void>>;

const MIB = 1 << 20;

function scanRepeatedly(part: Uint8Array, times: number): void {
  const scanner = new TarScanner({ onEntry: () => undefined });
  for (let i = 0; i < times; i++) scanner.push(part);
}

/** As many short records as fit into an extension, all with other keys. */
function manyRecords(): Uint8Array {
  let text = "";
  for (let i = 0; text.length < MIB - 20; i++) text += `10 ${String(i).padStart(5, "0")}=\n`;
  return latin1(text);
}

/** As many one-byte runs as fit into a map of format 1.0. */
function longMap(): Uint8Array {
  const count = 60_000;
  const lines = Array.from({ length: count }, (_, i) => `${2 * i}\n1\n`).join("");
  const map = latin1(`${count}\n${lines}`);
  return concat([map, new Uint8Array(512 - (map.length % 512)), new Uint8Array(count)]);
}

const TAR_SCANNER: Inputs = {
  nothing: () => scanRepeatedly(new Uint8Array(512), 1),
  pax: () => scanRepeatedly(concat([entry({ type: "x" }, manyRecords()), entry({}, "x")]), 60),
  sparse: () =>
    scanRepeatedly(
      concat([
        pax([
          ["GNU.sparse.major", "1"],
          ["GNU.sparse.minor", "0"],
          ["GNU.sparse.realsize", String(10 * MIB)],
        ]),
        entry({}, longMap()),
      ]),
      60,
    ),
  "long-names": () =>
    scanRepeatedly(
      concat([
        entry({ type: "L" }, "n".repeat(MIB - 1)),
        entry({ type: "K" }, "k".repeat(MIB - 1)),
      ]),
      300,
    ),
};

/** A zTOC of about 16 MiB whose vectors point to one thing again and again. */
function sharingZtoc(shared: "rows" | "xattrs" | "digests", count = 4 * MIB): Uint8Array {
  const builder = new Builder(32 * MIB);
  const vectorOf = (offset: number, times: number): number => {
    builder.startVector(4, times, 4);
    for (let left = times; left > 0; left--) builder.addOffset(offset);
    return builder.endVector();
  };
  builder.startObject(XATTR.slots);
  const xattrsAt = vectorOf(builder.endObject(), shared === "xattrs" ? count : 0);
  builder.startObject(FILE_METADATA.slots);
  builder.addFieldOffset(FILE_METADATA.xattrs, xattrsAt, 0);
  const rowsAt = vectorOf(builder.endObject(), shared === "rows" ? count : 2);
  builder.startObject(TOC.slots);
  builder.addFieldOffset(TOC.metadata, rowsAt, 0);
  const tocAt = builder.endObject();
  const digestAt = builder.createString(`sha256:${"0".repeat(64)}`);
  const digestsAt = vectorOf(digestAt, shared === "digests" ? count : 1);
  builder.startVector(1, 12, 1);
  for (let i = 0; i < 12; i++) builder.addInt8(0);
  const checkpointsAt = builder.endVector();
  const versionBytes = 16 * MIB - 4 * count;
  builder.startVector(1, versionBytes, 1);
  for (let i = 0; i < versionBytes; i++) builder.addInt8(0);
  const versionAt = builder.endVector();
  builder.startObject(COMPRESSION_INFO.slots);
  builder.addFieldOffset(COMPRESSION_INFO.spanDigests, digestsAt, 0);
  builder.addFieldOffset(COMPRESSION_INFO.checkpoints, checkpointsAt, 0);
  const infoAt = builder.endObject();
  builder.startObject(ZTOC.slots);
  builder.addFieldOffset(ZTOC.version, versionAt, 0);
  builder.addFieldOffset(ZTOC.toc, tocAt, 0);
  builder.addFieldOffset(ZTOC.compressionInfo, infoAt, 0);
  builder.finish(builder.endObject());
  return builder.asUint8Array();
}

function decodeAndRead(bytes: Uint8Array): void {
  for (const { xattrs } of decodeZtoc(bytes).files) xattrs.length;
}

const DECODE_ZTOC: Inputs = {
  nothing: () => decodeAndRead(sharingZtoc("rows").subarray(0, 8)),
  // As many as are let pass.
  "shared-rows": () => decodeAndRead(sharingZtoc("rows", MIB)),
  "shared-xattrs": () => decodeAndRead(sharingZtoc("xattrs", MIB)),
  "shared-digests": () => decodeAndRead(sharingZtoc("digests")),
};

/** `count` deflate blocks with nothing in them, ten bits each, in one member that has no end. */
function emptyBlocks(count: number): Uint8Array {
  // Four of them are five bytes: 1 << 1 (fixed codes), then seven zeros for the end of the block.
  const four = [0x02, 0x08, 0x20, 0x80, 0x00];
  const header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
  const body = new Uint8Array((count / 4) * 5);
  for (let at = 0; at < body.length; at++) body[at] = four[at % 5] ?? 0;
  return Buffer.concat([Uint8Array.from(header), body]);
}

function buildLayer(...parts: readonly Uint8Array[]): void {
  const builder = new ZtocBuilder({ algorithm: "gzip", engine: () => new WasmEngine() });
  for (const part of parts) {
    for (let at = 0; at < part.length; at += 65_536) builder.push(part.subarray(at, at + 65_536));
  }
  builder.finish();
}

/** A header of a file with nothing in it, again and again. */
function manyFiles(count: number): Uint8Array {
  const header = entry({ name: "f" });
  const tar = new Uint8Array(count * header.length);
  for (let at = 0; at < tar.length; at += header.length) tar.set(header, at);
  return gzipSync(tar);
}

const BUILDER: Inputs = {
  nothing: () => buildLayer(gzipSync(new Uint8Array(1024))),
  "empty-members": () =>
    buildLayer(Buffer.concat(new Array<Buffer>(100_000).fill(gzipSync(new Uint8Array(0))))),
  "empty-blocks": () => buildLayer(emptyBlocks(800_000)),
  bomb: () => {
    const zeros = gzipSync(new Uint8Array(256 * MIB));
    const header = gzipSync(entry({ name: "zeros", size: 2 ** 30 }).subarray(0, 512));
    buildLayer(header, zeros, zeros, zeros, zeros);
  },
  "many-files": () => buildLayer(manyFiles(300_000)),
};

/** Names of 4 KiB, each of two thousand directories of its own. */
function mergeDeepNames(count: number): void {
  const names = Array.from({ length: count }, (_, i) => file(`${i}/${"a/".repeat(2000)}f`));
  mergeLayers([layer(...names)]);
}

const TREE: Inputs = {
  nothing: () => mergeDeepNames(1),
  // As many as are let pass, and more than are.
  "deep-names": () => {
    mergeDeepNames(32);
    mergeDeepNames(1000);
  },
};

const DECODERS: Readonly<Record<string, Inputs>> = {
  "tar-scanner": TAR_SCANNER,
  ztoc: DECODE_ZTOC,
  builder: BUILDER,
  tree: TREE,
};

const [decoder = "", input = ""] = process.argv.slice(2);
const work = DECODERS[decoder]?.[input];
if (work === undefined) throw new Error(`no input "${input}" of "${decoder}"`);
try {
  work();
} catch (error) {
  if (!isKind(error, "data-loss", "unsupported")) throw error;
}
