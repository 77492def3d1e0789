import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { differences, type ListedPath } from "../support/compare-trees.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import {
  type BuiltLayer,
  buildDockerArchive,
  buildOciArchive,
  imageOf,
  layerOf,
  writeLayout,
} from "../support/image-builder.ts";
import {
  goldenLayers,
  hostileLayers,
  hostLayer,
  mixedLayers,
  multiMember,
  oddLayers,
  recompressed,
  rootLayers,
  sparseLayers,
  specialLayer,
} from "../support/mount-images.ts";
import { MountProcess } from "../support/mount-process.ts";
import { MountReader } from "../support/mount-reader.ts";
import { MountStage } from "../support/mount-stage.ts";
import { mountTemp } from "../support/mount-temp.ts";
import { buildSociable, runProgram } from "../support/sociable-binary.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

beforeAll(buildSociable, 120_000);

/** What the machine adds, and no unpacker sets. */
const IGNORE = { ignoreXattrs: ["security.selinux"] } as const;

interface SampleImage {
  readonly make: () => Promise<readonly BuiltLayer[]>;
  /** What it is compared with. umoci refuses entries that containerd and tar take. */
  readonly peer: "umoci" | "tar";
}

const IMAGES = {
  root: { make: rootLayers, peer: "umoci" },
  mixed: { make: mixedLayers, peer: "umoci" },
  hostile: { make: hostileLayers, peer: "umoci" },
  special: { make: async () => [specialLayer()], peer: "umoci" },
  host: { make: async () => [await hostLayer()], peer: "umoci" },
  golden: { make: async () => goldenLayers(), peer: "umoci" },
  odd: { make: oddLayers, peer: "tar" },
  sparse: { make: sparseLayers, peer: "tar" },
} as const satisfies Record<string, SampleImage>;

type ImageName = keyof typeof IMAGES;

let shared: TempDir;
const layersOf = new Map<ImageName, Promise<readonly BuiltLayer[]>>();
const unpacked = new Map<ImageName, Promise<ListedPath[]>>();

beforeAll(async () => {
  shared = await tempDir();
});
afterAll(() => shared[Symbol.asyncDispose]());

async function layers(name: ImageName): Promise<readonly BuiltLayer[]> {
  const made = layersOf.get(name) ?? IMAGES[name].make();
  layersOf.set(name, made);
  return await made;
}

/** What the peer makes of an image; once for all tests. */
async function unpack(name: ImageName): Promise<ListedPath[]> {
  const unpackLayers = IMAGES[name].peer === "umoci" ? unpackByUmoci : unpackByTar;
  const done = unpacked.get(name) ?? unpackLayers(shared.join(name), await layers(name));
  unpacked.set(name, done);
  return await done;
}

/** Everything as gzip: it does not know zstd. */
async function unpackByUmoci(place: string, built: readonly BuiltLayer[]): Promise<ListedPath[]> {
  const gzip = recompressed(built, (tar) => layerOf(tar));
  await writeLayout(join(place, "layout"), { image: imageOf(gzip), tag: "v1" });
  const bundle = join(place, "bundle");
  await succeed(["umoci", "unpack", "--image", `${join(place, "layout")}:v1`, bundle]);
  return await listing(join(bundle, "rootfs"));
}

/** One layer over the other. */
async function unpackByTar(place: string, built: readonly BuiltLayer[]): Promise<ListedPath[]> {
  await mkdir(join(place, "rootfs"), { recursive: true });
  for (const { tar } of built) {
    await Bun.write(join(place, "layer.tar"), tar);
    const options = ["--numeric-owner", "--xattrs", "--xattrs-include=*"];
    await succeed([
      ...["tar", ...options, "-C", join(place, "rootfs"), "-xpf", join(place, "layer.tar")],
    ]);
  }
  return await listing(join(place, "rootfs"));
}

async function succeed(argv: readonly string[]): Promise<void> {
  const { code, stderr } = await runProgram(argv);
  if (code !== 0) throw new Error(`${argv[0]} ended with ${code}: ${stderr}`);
}

/** All of a directory, by a process of its own. */
async function listing(directory: string): Promise<ListedPath[]> {
  await using reader = MountReader.list({ directory, ...IGNORE });
  return await reader.result;
}

/**
 * What umoci makes, without what we mean to do otherwise:
 * - It counts the names that are left of a hard link; ours is the number in the layer, as the same
 *   node is in every image that has the layer.
 *   So a hard link to a file of a layer below has its inode, but does not count.
 * - It leaves the time of the unpacking on directories that no layer describes, or out of which a
 *   whiteout took something; ours are those of 1970, or of the layer: the same on every machine.
 * - It sets times before 1970; containerd sets 1970 then.
 */
function expectSame(got: readonly ListedPath[], want: readonly ListedPath[]): void {
  const nowMade = new Set(
    want
      .filter(({ type, mtime }) => type === "dir" && Number(mtime) > START)
      .map(({ path }) => path),
  );
  const timeless = (nodes: readonly ListedPath[]): ListedPath[] =>
    nodes.map((node) => {
      if (nowMade.has(node.path)) return { ...node, mtime: "of no layer" };
      return node.mtime.startsWith("-") ? { ...node, mtime: "0.000000000" } : node;
    });
  expect(got.filter(({ mtime }) => Number(mtime) > START && Number(mtime) < END)).toEqual([]);
  const single = new Set(got.filter(({ nlink }) => nlink === 1).map(({ path }) => path));
  const wanted = timeless(want).map(({ sameAs, ...node }) =>
    sameAs === undefined || single.has(node.path) ? node : { ...node, sameAs },
  );
  expect(differences(timeless(got), wanted, { ignore: ["nlink"] })).toEqual([]);
}

const START = Date.now() / 1000 - 5;
const END = START + 3600;

async function mountFile(temp: TempDir, image: string): Promise<MountProcess> {
  await mkdir(temp.join("mnt"));
  return await MountProcess.start({ root: temp.join("root"), image, directory: temp.join("mnt") });
}

describeMounts(["umoci", "tar"], "sociable mount shows what umoci unpacks", () => {
  test.each([
    { image: "root", index: "referrer" },
    { image: "root", index: "annotation" },
    { image: "root", index: "none" },
    { image: "mixed", index: "referrer" },
    { image: "mixed", index: "none" },
    { image: "hostile", index: "referrer" },
    { image: "special", index: "referrer" },
    { image: "odd", index: "referrer" },
    { image: "sparse", index: "referrer" },
    { image: "host", index: "referrer" },
    { image: "golden", index: "referrer" },
    { image: "golden", index: "none" },
  ] as const)("of $image in a registry, index: $index", async ({ image, index }) => {
    await using stage = await MountStage.open({
      layers: await layers(image),
      files: new Map(),
      index,
    });
    await using mount = await stage.mount();
    expectSame(await listing(mount.directory), await unpack(image));
  });

  test("of layers of several gzip members, with and without an index", async () => {
    const several = recompressed(await layers("root"), multiMember);
    for (const index of ["referrer", "none"] as const) {
      await using stage = await MountStage.open({ layers: several, files: new Map(), index });
      await using mount = await stage.mount();
      expectSame(await listing(mount.directory), await unpack("root"));
    }
  });

  test.each(["root", "mixed", "special", "sparse"] as const)("of %s in a layout", async (image) => {
    await using temp = await mountTemp();
    await writeLayout(temp.join("layout"), { image: imageOf(await layers(image)), tag: "v1" });
    await using mount = await mountFile(temp, `oci:${temp.join("layout")}:v1`);
    expectSame(await listing(mount.directory), await unpack(image));
  });

  test("of mixed in an OCI archive", async () => {
    await using temp = await mountTemp();
    const archive = await buildOciArchive(imageOf(await layers("mixed")), { tag: "v1" });
    await Bun.write(temp.join("image.tar"), archive);
    await using mount = await mountFile(temp, `oci-archive:${temp.join("image.tar")}:v1`);
    expectSame(await listing(mount.directory), await unpack("mixed"));
  });

  test("of root in a Docker archive", async () => {
    await using temp = await mountTemp();
    const archive = await buildDockerArchive(imageOf(await layers("root")), { tags: ["app:v1"] });
    await Bun.write(temp.join("image.tar"), archive);
    await using mount = await mountFile(temp, `docker-archive:${temp.join("image.tar")}:app:v1`);
    expectSame(await listing(mount.directory), await unpack("root"));
  });

  test("a hard link to a file of a layer below is that file", async () => {
    await using stage = await MountStage.open({ layers: await layers("root"), files: new Map() });
    await using mount = await stage.mount();
    const paths = ["etc/empty", "etc/link-to-below"].map((path) => join(mount.directory, path));
    const { stdout } = await runProgram(["stat", "-c", "%i", ...paths]);
    const [below, link] = Buffer.from(stdout).toString().trim().split("\n");
    expect(link).toBe(below);
  });
});
