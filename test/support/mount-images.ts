import { mkdir, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { OCI_LAYER_GZIP } from "../../src/oci/media-types.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { TarScanner } from "../../src/tar/tar-scanner.ts";
import { concat, END, entry, pax } from "../tar/tar-blocks.ts";
import { goldenLayer, goldenRows } from "../ztoc/golden.ts";
import { type BuiltLayer, buildLayer, type LayerEntry, layerOf } from "./image-builder.ts";
import { sampleBytes } from "./sample-bytes.ts";
import { runProgram } from "./sociable-binary.ts";
import { tempDir } from "./temp-dir.ts";

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
// With modes and times of what they link to, as tar writes them; else it matters who unpacks.
const hardLink = (name: string, linkname: string, mode = 0o644): LayerEntry => ({
  name,
  linkname,
  mode,
  type: "link",
  mtime: at(1_500_000_000),
});
const symlink = (name: string, linkname: string): LayerEntry => ({
  name,
  linkname,
  type: "symlink",
  mtime: at(1_600_000_003),
});

const base: readonly LayerEntry[] = [
  dir("."),
  symlink("bin", "usr/bin"),
  dir("etc", { mtime: at(1_650_000_000) }),
  file("etc/passwd", { content: "root:x:0:0::/root:/bin/sh\n" }),
  file("etc/shadow", { mode: 0o640, gid: 42 }),
  file("etc/empty", { content: "" }),
  symlink("etc/mtab", "/proc/mounts"),
  symlink("etc/dangling", "../no/such/file"),
  dir("home"),
  dir("home/user", { uid: 1000, gid: 1000, mode: 0o2750 }),
  file("home/user/.profile", { uid: 1000, gid: 1000, pax: { mtime: "1500000000.123456789" } }),
  file("home/user/big-id", { uid: 2_000_000, gid: 3_000_000 }),
  file("home/before-1970", { pax: { mtime: "-1000.5" } }),
  file("home/after-2038", { mtime: at(5_000_000_000) }),
  file("implied/parents/here"),
  dir("opaque", { mode: 0o711 }),
  file("opaque/old"),
  dir("opaque/old-dir"),
  file("opaque/old-dir/old"),
  dir("gone"),
  file("gone/with-all-in-it"),
  dir("tmp", { mode: 0o1777 }),
  dir("usr"),
  dir("usr/bin"),
  file("usr/bin/perl", { content: sampleBytes(700_000), mode: 0o755 }),
  hardLink("usr/bin/perl5.36.0", "usr/bin/perl", 0o755),
  // Through the symlink of the layer.
  hardLink("bin/perl-again", "bin/perl", 0o755),
  dir("usr/lib"),
  file("usr/lib/libc.so.6", { content: sampleBytes(1_300_000, 2), mode: 0o755 }),
  symlink("usr/lib/libc.so", "libc.so.6"),
  file("usr/lib/twice", { content: "first" }),
  file("usr/lib/twice", { content: "second", mtime: at(1_500_000_007) }),
  dir("var"),
  dir("var/lib", { mtime: at(1_234_567_890) }),
  file("var/lib/status", { content: sampleBytes(60_000, 3) }),
  file("a-file"),
  dir("a-directory"),
  file("a-directory/inner"),
];

const middle: readonly LayerEntry[] = [
  dir("etc", { mode: 0o700, mtime: at(1_660_000_000) }),
  file("etc/passwd", { content: "replaced\n", mode: 0o600 }),
  file("etc/.wh.shadow", { content: "" }),
  hardLink("etc/link-to-below", "etc/empty"),
  dir("opaque", { mode: 0o750, mtime: at(1_660_000_001) }),
  file("opaque/.wh..wh..opq", { content: "" }),
  file("opaque/new"),
  file(".wh.gone", { content: "" }),
  dir("usr", { mtime: at(1_660_000_002) }),
  dir("usr/lib", { mtime: at(1_660_000_003) }),
  dir("usr/lib/twice", { mtime: at(1_660_000_004) }),
  file("usr/lib/twice/now a directory"),
  file("usr/lib/large", { content: sampleBytes(900_000, 4) }),
  dir("a-file", { mtime: at(1_660_000_006) }),
  file("a-file/inner", { content: "a directory now" }),
  file("a-directory", { content: "a file now" }),
];

const top: readonly LayerEntry[] = [
  dir("gone", { mtime: at(1_670_000_000) }),
  file("gone/and-back"),
  dir("etc", { mode: 0o755, mtime: at(1_670_000_001) }),
  file("etc/passwd", { content: "again\n" }),
  dir("opaque", { mode: 0o750, mtime: at(1_670_000_002) }),
  file("opaque/newer"),
  hardLink("opaque/newest", "opaque/newer"),
];

/** Three layers with all that layers do to each other. */
export async function rootLayers(): Promise<BuiltLayer[]> {
  return await Promise.all([base, middle, top].map((entries) => buildLayer({ entries })));
}

/** The same tars in every encoding, from the bottom up. */
export async function mixedLayers(): Promise<BuiltLayer[]> {
  const [one, two, three] = await rootLayers();
  if (one === undefined || two === undefined || three === undefined) throw new Error("no layers");
  return [layerOf(one.tar, "none"), layerOf(two.tar, "zstd"), multiMember(three.tar)];
}

/** Layers in one encoding. */
export function recompressed(
  layers: readonly BuiltLayer[],
  compress: (tar: Uint8Array) => BuiltLayer,
): BuiltLayer[] {
  return layers.map(({ tar }) => compress(tar));
}

const MEMBER_BYTES = 100_000;

/** Compressed as pigz and estargz do: several gzip streams, one behind the other. */
export function multiMember(tar: Uint8Array): BuiltLayer {
  const members: Uint8Array[] = [];
  for (let start = 0; start < tar.length; start += MEMBER_BYTES) {
    members.push(gzipSync(tar.subarray(start, start + MEMBER_BYTES)));
  }
  const bytes = concat(members);
  const descriptor = { mediaType: OCI_LAYER_GZIP, digest: digestOf(bytes), size: bytes.length };
  return { descriptor, bytes, tar };
}

/** Names, targets and paths that an unpacker must not fall for, and odd ones that it must take. */
export async function hostileLayers(): Promise<BuiltLayer[]> {
  const lower: readonly LayerEntry[] = [
    dir("."),
    dir("dir"),
    file("dir/victim"),
    symlink("climbing", "../../../../tmp"),
    symlink("absolute", "/dir"),
    symlink("loop", "loop"),
    // Into directories behind symlinks, which stay inside.
    file("absolute/through-a-link"),
    file("./dotted/../odd"),
    file("/rooted"),
    file("../escaped"),
    file("dir/../../../../climbed"),
    file("a name with spaces\nand lines"),
    file("tab\tand\u0001control"),
    file("\u00fcml\u00e4ut \u{1f41f}"),
    file("n".repeat(255)),
    file(`${"deep/".repeat(60)}file`),
    file("-rf"),
    file("*"),
    file("back\\slash"),
    hardLink("link-out", "../../dir/victim"),
  ];
  const upper: readonly LayerEntry[] = [
    file("dir/.wh.not-there", { content: "" }),
    file(".wh.climbing", { content: "" }),
    dir("absolute"),
    file("absolute/own"),
  ];
  return [await buildLayer({ entries: lower }), rawNames(), await buildLayer({ entries: upper })];
}

/** Names that are no UTF-8. */
function rawNames(): BuiltLayer {
  return layerOf(
    concat([
      entry({ name: "raw/", type: "5", mode: 0o755 }),
      entry({ name: "raw/\xff\xfe" }, "bytes"),
      entry({ name: "raw/caf\xe9" }, "latin1"),
      entry({ name: "raw/link", type: "2", linkname: "\xe9\xff" }),
      END,
    ]),
  );
}

const CAPABILITY = `\u0001\u0000\u0000\u0002\u0000\u0020${"\u0000".repeat(14)}`;

/** Version 2, then tag, permissions and id of each entry; see acl(5). */
function aclXattr(entries: readonly (readonly [number, number, number])[]): string {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2, 0);
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * i);
    bytes.writeUInt16LE(permissions, 6 + 8 * i);
    bytes.writeUInt32LE(id, 8 + 8 * i);
  }
  return bytes.toString("latin1");
}

const NOBODY_IN_PARTICULAR = 0xffff_ffff;
const ACL = aclXattr([
  [1, 6, NOBODY_IN_PARTICULAR],
  [2, 4, 1000],
  [4, 4, NOBODY_IN_PARTICULAR],
  [0x10, 4, NOBODY_IN_PARTICULAR],
  [0x20, 0, NOBODY_IN_PARTICULAR],
]);

/** Devices, pipes, set-user-ID bits, extended attributes, ACLs. */
export function specialLayer({ acls = true } = {}): BuiltLayer {
  const xattr = (name: string, value: string) => pax([[`SCHILY.xattr.${name}`, value]]);
  return layerOf(
    concat([
      entry({ name: "dev/", type: "5", mode: 0o755 }),
      entry({ name: "dev/null", type: "3", mode: 0o666, ...device(1, 3) }),
      entry({ name: "dev/sda300", type: "4", mode: 0o660, gid: 6, ...device(259, 70_000) }),
      entry({ name: "dev/initctl", type: "6", mode: 0o600 }),
      entry({ name: "bin/", type: "5", mode: 0o755 }),
      entry({ name: "bin/su", mode: 0o4755 }, "su"),
      entry({ name: "bin/wall", mode: 0o2755, gid: 5 }, "wall"),
      entry({ name: "tmp/", type: "5", mode: 0o1777 }),
      xattr("security.capability", CAPABILITY),
      entry({ name: "bin/ping", mode: 0o755 }, "ping"),
      pax([
        ["SCHILY.xattr.user.one", "1"],
        ["SCHILY.xattr.user.bytes", "\xff\x80=\nx"],
        ["SCHILY.xattr.user.long", "v".repeat(3000)],
      ]),
      entry({ name: "xattrs" }, "x"),
      xattr("user.of-a-directory", "yes"),
      entry({ name: "dir/", type: "5", mode: 0o700 }),
      ...(acls
        ? [
            xattr("system.posix_acl_access", ACL),
            entry({ name: "acl", mode: 0o640 }, "acl"),
            xattr("system.posix_acl_default", ACL),
            entry({ name: "acl-dir/", type: "5", mode: 0o750 }),
          ]
        : []),
      END,
    ]),
  );
}

function device(major: number, minor: number) {
  const octal = (value: number) => `${value.toString(8).padStart(7, "0")}\0`;
  return {
    patches: [
      { at: 329, text: octal(major) },
      { at: 337, text: octal(minor) },
    ],
  };
}

/** What no zTOC holds (a global pax header, a contiguous file), and a layer that can have one. */
export async function oddLayers(): Promise<BuiltLayer[]> {
  const upper = await buildLayer({ entries: [file("dir/plain", { content: "of above" })] });
  const lower = layerOf(
    concat([
      pax([["comment", "of everything that follows"]], "g"),
      entry({ name: "dir/", type: "5", mode: 0o755 }),
      entry({ name: "dir/contiguous", type: "7" }, sampleBytes(100_000, 5)),
      entry({ name: "dir/plain" }, "plain"),
      END,
    ]),
  );
  return [lower, upper];
}

/** Runs of data by their offsets in blocks, and the file's size. */
const SPARSE_FILES = {
  "all-hole": { blocks: [], size: 1_000_000 },
  "ends-in-a-hole": { blocks: [0, 7], size: 200_000 },
  "starts-with-a-hole": { blocks: [20], size: 21 * 4096 - 100 },
  "many-runs": { blocks: Array.from({ length: 60 }, (_, i) => 3 * i), size: 800_000 },
  "five-runs": { blocks: [1, 3, 5, 7, 9], size: 41_000 },
  "far-apart": { blocks: [10, 2500], size: 20_000_000 },
  dense: { blocks: [0, 1, 2], size: 3 * 4096 },
} as const;

const SPARSE_FORMATS = [
  ["--format=gnu"],
  ["--format=posix", "--sparse-version=0.0"],
  ["--format=posix", "--sparse-version=0.1"],
  ["--format=posix", "--sparse-version=1.0"],
] as const;

/** A layer for each way in which GNU tar writes sparse files, each in a directory of its own. */
export async function sparseLayers(): Promise<BuiltLayer[]> {
  await using temp = await tempDir();
  const layers: BuiltLayer[] = [];
  for (const [i, options] of SPARSE_FORMATS.entries()) {
    await makeSparseFiles(temp.join(`files-${i}`));
    const args = ["--sparse", "--mtime=@1500000000", ...options, `files-${i}`];
    layers.push(await tarOf(temp.path, args));
  }
  return layers;
}

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

/** Golden layers of which umoci makes something else than containerd, or nothing. */
const NOT_AS_UMOCI: readonly RegExp[] = [
  // What it refuses: links to nothing, names and extended attributes that the file system refuses.
  /^c-(hardlink|link-long|symlinks|name-(empty|gnu-L|pax-256|pax-5000)|xattrs-(many|order))/,
  // Times that do not fit containerd's clock are 1970 there.
  /^c-mtime-(far|max|negative)/,
  // A character device 0:0 is a whiteout of overlayfs.
  /^c-(devices|whiteouts|size-on-char)/,
  // An empty extended attribute is one for containerd.
  /^c-xattrs-dup-empty/,
  // Others have a file where its directories are.
  /^c-name-prefix/,
  // 20,000 files for nothing new.
  /^c-tiny-20000/,
];

/** The golden layers that unpack without a complaint, one over the other: those with directories first. */
export function goldenLayers(): BuiltLayer[] {
  const refused = new Set(goldenRows().flatMap(({ file, error }) => (error ? [file] : [])));
  const files = new Set(goldenRows().map(({ file }) => file));
  return [...files]
    .filter((name) => name.endsWith(".gz") && !refused.has(name))
    .filter((name) => !NOT_AS_UMOCI.some((pattern) => pattern.test(name)))
    .map((name) => layerOf(gunzipSync(goldenLayer(name))))
    .toSorted((a, b) => Number(hasDirectories(b.tar)) - Number(hasDirectories(a.tar)));
}

function hasDirectories(tar: Uint8Array): boolean {
  let found = false;
  const scanner = new TarScanner({
    onEntry: ({ name }) => {
      found ||= name.subarray(0, -1).includes("/".charCodeAt(0));
    },
  });
  scanner.push(tar);
  scanner.finish();
  return found;
}

const HOST_DIRECTORIES = ["bin", "lib/systemd/system", "share/perl5", "share/doc", "sbin"];
const MAX_HOST_FILES = 120;
const MAX_HOST_FILE_BYTES = 400_000;

/** Programs, libraries and papers of this machine, as a distribution's image has them. */
export async function hostLayer(): Promise<BuiltLayer> {
  const paths: string[] = [];
  for (const directory of HOST_DIRECTORIES)
    paths.push(...(await hostFiles(join("usr", directory))));
  return await tarOf("/", ["--xattrs", "--xattrs-include=*", "--no-recursion", "usr", ...paths]);
}

async function hostFiles(directory: string): Promise<string[]> {
  const found: string[] = [];
  const entries = await readdir(join("/", directory), { withFileTypes: true }).catch(() => []);
  for (const { name } of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (found.length >= MAX_HOST_FILES) break;
    const path = join(directory, name);
    const { size } = await stat(join("/", path)).catch(() => ({ size: 0 }));
    if (size <= MAX_HOST_FILE_BYTES) found.push(path);
  }
  return found.length === 0 ? [] : [directory, ...found];
}

async function tarOf(directory: string, args: readonly string[]): Promise<BuiltLayer> {
  await using temp = await tempDir();
  const tar = temp.join("layer.tar");
  const made = await runProgram([...["tar", "--sort=name", "-C", directory, "-cf", tar, ...args]]);
  if (made.code !== 0) throw new Error(`tar ended with ${made.code}: ${made.stderr}`);
  return layerOf(await Bun.file(tar).bytes());
}
