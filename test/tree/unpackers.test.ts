import { expect, test } from "bun:test";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { extentsOf, unpackedMetadata } from "../../src/image/unpacked-entry.ts";
import { TarScanner } from "../../src/tar/tar-scanner.ts";
import type { FileMetadata } from "../../src/ztoc/file-metadata.ts";
import { ChainTable } from "../../src/tree/chain-table.ts";
import { decodeEntries } from "../../src/tree/decode-entries.ts";
import { encodeChainTable } from "../../src/tree/encode-chain-table.ts";
import { encodeEntries } from "../../src/tree/encode-entries.ts";
import { encodeLayerTable } from "../../src/tree/encode-layer-table.ts";
import type { Extent } from "../../src/tree/extent.ts";
import { LayerTable } from "../../src/tree/layer-table.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import {
  type CompareOptions,
  differences,
  listDirectory,
  type ListedPath,
} from "../support/compare-trees.ts";
import { describeWith } from "../support/describe-with.ts";
import {
  buildLayer,
  buildTar,
  type BuiltLayer,
  imageOf,
  type LayerEntry,
  layerOf,
  writeLayout,
} from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { runProgram } from "../support/sociable-binary.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { listTables } from "./list-tables.ts";

const at = (seconds: number): Date => new Date(seconds * 1000);
const dir = (name: string, more: Partial<LayerEntry> = {}): LayerEntry => ({
  mode: 0o755,
  mtime: at(1_600_000_000),
  ...more,
  name: `${name}/`,
  type: "directory",
});
const file = (name: string, more: Partial<LayerEntry> = {}): LayerEntry => ({
  content: name,
  mtime: at(1_500_000_000),
  ...more,
  name,
});

/** Small, with one of all that a Debian root has. */
const debian: readonly LayerEntry[] = [
  dir("."),
  { name: "bin", type: "symlink", linkname: "usr/bin", mtime: at(1_600_000_001) },
  { name: "lib", type: "symlink", linkname: "usr/lib", mtime: at(1_600_000_002) },
  dir("dev"),
  { name: "dev/null", type: "character-device", devmajor: 1, devminor: 3, mode: 0o666 },
  {
    name: "dev/sda300",
    type: "block-device",
    devmajor: 259,
    devminor: 70_000,
    mode: 0o660,
    gid: 6,
  },
  { name: "dev/initctl", type: "fifo", mode: 0o600 },
  dir("etc", { mtime: at(1_650_000_000) }),
  file("etc/passwd", { content: "root:x:0:0::/root:/bin/sh\n" }),
  file("etc/shadow", { mode: 0o640, gid: 42 }),
  file("etc/empty", { content: "" }),
  { name: "etc/mtab", type: "symlink", linkname: "/proc/mounts" },
  { name: "etc/dangling", type: "symlink", linkname: "../no/such/file" },
  dir("home"),
  dir("home/user", { uid: 1000, gid: 1000, mode: 0o2750 }),
  file("home/user/.profile", { uid: 1000, gid: 1000, pax: { mtime: "1500000000.123456789" } }),
  file("home/user/big-id", { uid: 2_000_000, gid: 3_000_000 }),
  dir("tmp", { mode: 0o1777 }),
  dir("usr"),
  dir("usr/bin"),
  file("usr/bin/perl", { content: sampleBytes(70_000), mode: 0o755 }),
  {
    name: "usr/bin/perl5.36.0",
    type: "link",
    linkname: "usr/bin/perl",
    mode: 0o755,
    mtime: at(1_500_000_000),
  },
  // Through the symlink of the layer.
  {
    name: "bin/perl-again",
    type: "link",
    linkname: "bin/perl",
    mode: 0o755,
    mtime: at(1_500_000_000),
  },
  file("usr/bin/su", { mode: 0o4755 }),
  file("usr/bin/wall", { mode: 0o2755, gid: 5 }),
  file("usr/bin/ping", {
    mode: 0o755,
    pax: {
      "SCHILY.xattr.security.capability":
        "\u0001\u0000\u0000\u0002\u0000\u0020\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000",
      "SCHILY.xattr.user.comment": "two of them",
    },
  }),
  dir("usr/lib", { pax: { "SCHILY.xattr.user.of-a-directory": "yes" } }),
  file("usr/lib/libc.so.6", { content: sampleBytes(300_000), mode: 0o755 }),
  { name: "usr/lib/libc.so", type: "symlink", linkname: "libc.so.6", mtime: at(1_400_000_000) },
  file(`usr/lib/${"n".repeat(255)}`),
  file("usr/lib/\u00fcml\u00e4ut"),
  file("usr/lib/twice", { content: "first" }),
  file("usr/lib/twice", { content: "second", mtime: at(1_500_000_007) }),
  dir("var"),
  dir("var/lib", { mtime: at(1_234_567_890) }),
];

const upper: readonly LayerEntry[] = [
  dir("etc", { mode: 0o700, mtime: at(1_660_000_000) }),
  file("etc/passwd", { content: "replaced\n", mode: 0o600 }),
  file("etc/.wh.shadow", { content: "" }),
  { name: "etc/link-to-below", type: "link", linkname: "etc/empty", mtime: at(1_500_000_000) },
  dir("var", { mtime: at(1_660_000_001) }),
  file("var/.wh..wh..opq", { content: "" }),
  file("var/new"),
  dir("usr", { mtime: at(1_660_000_002) }),
  dir("usr/lib", { mtime: at(1_660_000_003) }),
  dir("usr/lib/twice", { mtime: at(1_660_000_004) }),
  file("usr/lib/twice/now a directory"),
  dir("home", { mtime: at(1_660_000_005) }),
  file("home/user"),
];

/** The same layers by our tables, through a round of the entries' codec. */
function tablesOf(layers: readonly BuiltLayer[]): ListedPath[] {
  const trees = layers.map(({ tar }) => {
    const { files, sparse } = decodeEntries(entriesOf(tar));
    return { tar, sparse, tree: buildLayerTree(files) };
  });
  const chain = encodeChainTable(
    layers.map(({ descriptor: { digest } }, index) => {
      const built = trees[index];
      if (built === undefined) throw new Error(`No tree ${index}`);
      return { digest, tree: built.tree };
    }),
  );
  return listTables(
    ChainTable.open(chain),
    trees.map(({ tar, tree, sparse }) => ({
      tar,
      table: LayerTable.open(encodeLayerTable(tree, { sparse })),
    })),
  );
}

function entriesOf(tar: Uint8Array): Uint8Array {
  const files: FileMetadata[] = [];
  const sparse = new Map<number, readonly Extent[]>();
  const scanner = new TarScanner({
    onEntry: (entry) => {
      const file = unpackedMetadata(entry);
      if (file === undefined) return;
      if (entry.sparseExtents !== undefined) sparse.set(files.length, extentsOf(entry));
      files.push(file);
    },
  });
  scanner.push(tar);
  scanner.finish();
  return encodeEntries(files, sparse);
}

/** What the machine adds, and no unpacker sets. */
const IGNORE = { ignoreXattrs: ["security.selinux"] } as const;

async function unpack(temp: TempDir, layers: readonly BuiltLayer[]): Promise<ListedPath[]> {
  await writeLayout(temp.join("layout"), { image: imageOf(layers), tag: "v1" });
  const bundle = temp.join("bundle");
  const image = `${temp.join("layout")}:v1`;
  expect(await runProgram(["umoci", "unpack", "--image", image, bundle])).toMatchObject({
    code: 0,
  });
  return await Array.fromAsync(listDirectory(join(bundle, "rootfs"), IGNORE));
}

async function expectSame(
  layers: readonly BuiltLayer[],
  options: CompareOptions = {},
): Promise<void> {
  await using temp = await tempDir();
  expect(differences(tablesOf(layers), await unpack(temp, layers), options)).toEqual([]);
}

/** Runs of data by their offsets in blocks, and the file's size. */
const SPARSE_FILES = {
  "all-hole": { blocks: [], size: 1_000_000 },
  "ends-in-a-hole": { blocks: [0, 7], size: 200_000 },
  "starts-with-a-hole": { blocks: [20], size: 21 * 4096 - 100 },
  "many-runs": { blocks: Array.from({ length: 60 }, (_, i) => 3 * i), size: 800_000 },
  "five-runs": { blocks: [1, 3, 5, 7, 9], size: 41_000 },
  dense: { blocks: [0, 1, 2], size: 3 * 4096 },
} as const;

async function makeSparseFiles(directory: string): Promise<void> {
  await mkdir(directory);
  for (const [name, { blocks, size }] of Object.entries(SPARSE_FILES)) {
    await using sparse = await open(join(directory, name), "w");
    await sparse.truncate(size);
    for (const block of blocks) {
      const data = sampleBytes(Math.min(4096, size - block * 4096), block + 1);
      await sparse.write(data, 0, data.length, block * 4096);
    }
  }
}

async function sparseTar(...options: readonly string[]): Promise<Uint8Array> {
  await using temp = await tempDir();
  await makeSparseFiles(temp.join("files"));
  const tar = temp.join("files.tar");
  const made = await runProgram([
    ...["tar", "--sparse", "--sort=name", ...options, "-C", temp.join("files"), "-cf", tar, "."],
  ]);
  expect(made).toMatchObject({ code: 0 });
  return await Bun.file(tar).bytes();
}

async function expectSameAsTar(tar: Uint8Array): Promise<void> {
  await using temp = await tempDir();
  await Bun.write(temp.join("layer.tar"), tar);
  await mkdir(temp.join("root"));
  const unpacked = await runProgram([
    ...["tar", "--numeric-owner", "-C", temp.join("root"), "-xpf", temp.join("layer.tar")],
  ]);
  expect(unpacked).toMatchObject({ code: 0 });
  const want = await Array.fromAsync(listDirectory(temp.join("root"), IGNORE));
  expect(differences(tablesOf([layerOf(tar)]), want)).toEqual([]);
}

/** Owners and devices are for root to set. */
const isRoot = process.getuid?.() === 0;
const testAsRoot = isRoot ? test : test.skip;
const suffix = isRoot ? "" : " (skipped: not root)";

describeWith(["umoci", "tar"], "LayerTable and ChainTable", () => {
  testAsRoot(`show what umoci unpacks of a small Debian root${suffix}`, async () => {
    await expectSame([await buildLayer({ entries: debian })]);
  });

  testAsRoot(`show what umoci unpacks of two layers${suffix}`, async () => {
    const layers = [await buildLayer({ entries: debian }), await buildLayer({ entries: upper })];
    // Ours is the number in the layer, whatever the layer above hides.
    await expectSame(layers, { ignore: ["nlink"] });
  });

  for (const version of ["0.0", "0.1", "1.0"]) {
    testAsRoot(`show sparse files of pax ${version} as umoci unpacks them${suffix}`, async () => {
      const tar = await sparseTar("--format=posix", `--sparse-version=${version}`);
      await expectSame([layerOf(tar)]);
    });
  }

  // Of these umoci takes none.
  testAsRoot(`show GNU sparse files as tar unpacks them${suffix}`, async () => {
    await expectSameAsTar(await sparseTar("--format=gnu"));
  });

  testAsRoot(`show contiguous files as tar unpacks them${suffix}`, async () => {
    const contiguous: LayerEntry = { ...file("b", { mode: 0o640 }), type: "contiguous-file" };
    await expectSameAsTar(await buildTar([dir("."), file("a", { mode: 0o644 }), contiguous]));
  });
});
