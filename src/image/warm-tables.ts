import { digestOf } from "../oci/digest.ts";
import { encodeChainTable } from "../tree/encode-chain-table.ts";
import { encodeLayerTable } from "../tree/encode-layer-table.ts";
import { buildLayerTree } from "../tree/layer-tree.ts";
import { bytesOf, encodeZtoc } from "../ztoc/encode-ztoc.ts";
import type { FileMetadata, FileType } from "../ztoc/file-metadata.ts";
import { FileTable } from "../ztoc/file-table.ts";
import { encodeTarZinfo } from "../ztoc/tar-zinfo.ts";
import { DEFAULT_SPAN_SIZE } from "../ztoc/ztoc.ts";
import { decodeLayerZtoc } from "./open-layer.ts";

const FILES = 400;
const TURNS = 24;
const BLOCK = 512;
const KINDS: readonly FileType[] = ["reg", "reg", "reg", "symlink", "reg", "hardlink"];

/**
 * Makes tables of a layer that does not exist, so that the compiler knows the code by the time the
 * first real layer comes. In turns of a few milliseconds.
 */
export function* warmTables(): Generator<void, void> {
  const bytes = sampleZtoc();
  yield;
  for (let turn = 0; turn < TURNS; turn++) {
    const { files } = decodeLayerZtoc({ size: bytes.size }, bytes.ztoc);
    const tree = buildLayerTree(files);
    yield;
    encodeLayerTable(tree);
    encodeChainTable([{ digest: "", tree }]);
    yield;
  }
}

function sampleZtoc(): { readonly ztoc: Uint8Array; readonly size: number } {
  const files = new FileTable();
  for (let i = 0; i < FILES; i++) files.append(sampleFile(i));
  const size = 2 * BLOCK * FILES;
  const encoded = encodeZtoc({
    compressedArchiveSize: size,
    uncompressedArchiveSize: size,
    files,
    compressionAlgorithm: "uncompressed",
    maxSpanId: 0,
    spanDigests: [digestOf("")],
    checkpoints: (() => {
      const zinfo = encodeTarZinfo({ spanSize: DEFAULT_SPAN_SIZE, size });
      return { size: zinfo.length, chunks: () => [zinfo] };
    })(),
  });
  return { ztoc: bytesOf(encoded), size };
}

/** Directories of twenty entries: first itself, then a file, which hard links among the others name. */
function sampleFile(i: number): FileMetadata {
  const directory = `usr/lib/python3/dist-packages/package${Math.floor(i / 20)}/`;
  const first = `${directory}module-${i - (i % 20) + 1}.py`;
  const type = i % 20 === 0 ? "dir" : i % 20 === 1 ? "reg" : (KINDS[i % KINDS.length] ?? "reg");
  const target = type === "symlink" ? "../other" : type === "hardlink" ? first : "";
  return {
    name: Buffer.from(type === "dir" ? directory : `${directory}module-${i}.py`),
    type,
    uncompressedOffset: 2 * BLOCK * i + BLOCK,
    uncompressedSize: type === "reg" ? i + 1 : 0,
    linkname: Buffer.from(target),
    mode: 0o755n,
    uid: i % 3,
    gid: 0,
    uname: Buffer.from("root"),
    gname: Buffer.from("root"),
    modTime: `2024-05-${String((i % 28) + 1).padStart(2, "0")}T10:11:12Z`,
    devmajor: 0n,
    devminor: 0n,
    xattrs: [],
  };
}
