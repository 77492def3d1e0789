import { beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { buildImage, type LayerEntry, writeLayout } from "../support/image-builder.ts";
import { describeWith } from "../support/describe-with.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import {
  buildSociable,
  runProgram,
  sociableJson,
  sociableOutput,
} from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";

beforeAll(buildSociable, 120_000);

const at = (seconds: number): Date => new Date(seconds * 1000);

const lower: readonly LayerEntry[] = [
  { name: "./", type: "directory", mtime: at(1000) },
  { name: "plain", content: sampleBytes(100_000), mode: 0o640, mtime: at(1_700_000_000) },
  { name: "setuid", content: "#!", mode: 0o4755, mtime: at(1) },
  { name: "dir/", type: "directory", mode: 0o1777, mtime: at(5) },
  { name: "dir/a", content: "a", mtime: at(6) },
  { name: "dir/b", content: "b", mtime: at(7) },
  // As tar writes it, with the times of the file; where they differ, containerd sets those of the link.
  { name: "hard", type: "link", linkname: "dir/a", mtime: at(6) },
  { name: "twice", content: "first", mtime: at(8) },
  { name: "twice", content: "second", mtime: at(9) },
  { name: "no/parents/here", content: "x", mtime: at(10) },
  { name: "link", type: "symlink", linkname: "dir" },
  { name: "absolute", type: "symlink", linkname: "/etc" },
  { name: "climbing", type: "symlink", linkname: "../../../../tmp" },
  { name: "becomes-dir", content: "file", mtime: at(11) },
  { name: "becomes-file/", type: "directory", mtime: at(12) },
  { name: "becomes-file/inner", content: "x", mtime: at(12) },
  { name: "gone", content: "x", mtime: at(13) },
  { name: "gone-dir/", type: "directory", mtime: at(14) },
  { name: "gone-dir/inner", content: "x", mtime: at(14) },
  { name: "opaque/", type: "directory", mtime: at(15) },
  { name: "opaque/old", content: "x", mtime: at(15) },
  { name: "./dotted/../odd", content: "cleaned", mtime: at(16) },
  { name: "/rooted", content: "inside", mtime: at(17) },
  { name: "../escaped", content: "inside too", mtime: at(18) },
  { name: "a name with spaces\nand lines", content: "odd", mtime: at(19) },
];

const upper: readonly LayerEntry[] = [
  { name: ".wh.gone", content: "" },
  { name: ".wh.gone-dir", content: "" },
  { name: "opaque/", type: "directory", mtime: at(20) },
  { name: "opaque/new", content: "new", mtime: at(21) },
  { name: "opaque/.wh..wh..opq", content: "" },
  { name: "becomes-dir/", type: "directory", mode: 0o700, mtime: at(22) },
  { name: "becomes-dir/inner", content: "y", mtime: at(23) },
  { name: "becomes-file", content: "file now", mtime: at(24) },
  { name: "dir/b", content: "b of above", mode: 0o600, mtime: at(25) },
  { name: "dir/.wh.a", content: "" },
  { name: "empty", content: "", mtime: at(26) },
];

/** What both must agree on. */
interface Entry {
  readonly path: string;
  readonly type: string;
  readonly mode: string;
  /** Of regular files. */
  readonly size?: number;
  readonly mtime?: string;
  readonly target?: string;
  readonly digest?: string;
}

/** A directory on disk, entry by entry. */
async function* walk(root: string, path = ""): AsyncGenerator<Entry> {
  for (const name of (await readdir(join(root, path))).toSorted()) {
    const here = `${path}/${name}`;
    const stats = await lstat(join(root, here));
    const mode = (stats.mode & 0o7777).toString(8).padStart(4, "0");
    const mtime = timeOf(stats.mtime.toISOString());
    if (stats.isSymbolicLink()) {
      yield { path: here, type: "symlink", mode, target: await readlink(join(root, here)) };
    } else if (stats.isDirectory()) {
      yield { path: here, type: "dir", mode };
      yield* walk(root, here);
    } else {
      const digest = sha256(await readFile(join(root, here)));
      yield { path: here, type: "reg", mode, size: stats.size, mtime, digest };
    }
  }
}

function timeOf(text: string): string {
  return text.replace(".000Z", "Z");
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

interface Listed extends Entry {
  readonly size: number;
  readonly mtime: string;
}

describeWith(["umoci"], "sociable ls and cat of a hostile image", () => {
  test("show what umoci unpacks, entry by entry", async () => {
    await using temp = await tempDir();
    const image = await buildImage({ layers: [{ entries: lower }, { entries: upper }] });
    await writeLayout(temp.join("layout"), { image, tag: "v1" });
    const bundle = temp.join("bundle");
    const unpack = await runProgram([
      ...["umoci", "unpack", "--rootless", "--image", `${temp.join("layout")}:v1`, bundle],
    ]);
    expect(unpack).toMatchObject({ code: 0 });
    const want = await Array.fromAsync(walk(join(bundle, "rootfs")));

    const name = `oci:${temp.join("layout")}:v1`;
    await sociableOutput(temp.join("root"), ["create", "--min-layer-size", "0", name]);
    const listed = (await sociableJson(temp.join("root"), [
      ...["ls", "-R", "--json", name],
    ])) as readonly Listed[]; // what --json promises
    const got: Entry[] = [];
    for (const { path, type, mode, size, mtime, target } of listed) {
      const common = { path, type, mode };
      if (type === "dir") got.push(common);
      else if (type === "symlink") got.push({ ...common, target: target ?? "" });
      else {
        const digest = sha256(await sociableOutput(temp.join("root"), ["cat", name, path]));
        got.push({ ...common, size, mtime, digest });
      }
    }
    const byPath = (a: Entry, b: Entry): number => (a.path < b.path ? -1 : 1);
    expect(got.toSorted(byPath)).toEqual(want.toSorted(byPath));
  });
});
