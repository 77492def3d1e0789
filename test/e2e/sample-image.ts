import { type BuiltImage, buildImage, type LayerEntry } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

const app = sampleBytes(3_000_000, 1);
const library = sampleBytes(1_500_000, 2);
const data = sampleBytes(700_000, 3);
const words = sampleBytes(20_000, 4);
const notes = Buffer.from("small\n");

const base: readonly LayerEntry[] = [
  { name: "bin/", type: "directory", mode: 0o755 },
  { name: "bin/app", content: app, mode: 0o755 },
  { name: "bin/app-2", type: "link", linkname: "bin/app" },
  { name: "etc/", type: "directory" },
  { name: "etc/removed", content: "old" },
  { name: "etc/replaced", content: "old" },
  { name: "cache/", type: "directory" },
  { name: "cache/hidden", content: "old" },
];

/** Layers of every encoding, whiteouts, links: the image that most of these tests read. */
export async function sampleImage(): Promise<BuiltImage> {
  return await buildImage({
    layers: [
      { entries: base },
      { entries: [{ name: "lib/library.so", content: library }], compression: "none" },
      { entries: [{ name: "data/blob", content: data }], compression: "zstd" },
      {
        entries: [
          { name: "etc/.wh.removed", content: "" },
          { name: "etc/replaced", content: notes },
          { name: "cache/.wh..wh..opq", content: "" },
          { name: "cache/words", content: words },
          { name: "usr", type: "symlink", linkname: "/bin" },
          { name: "outside", type: "symlink", linkname: "../../../bin/app" },
        ],
      },
    ],
  });
}

/** What must come out of the image, by path. */
export const EXPECTED: ReadonlyMap<string, Buffer> = new Map([
  ["/bin/app", app],
  ["/bin/app-2", app],
  ["/usr/app", app],
  ["/outside", app],
  ["/lib/library.so", library],
  ["/data/blob", data],
  ["/etc/replaced", notes],
  ["/cache/words", words],
]);

/** What upper layers have removed. */
export const REMOVED = ["/etc/removed", "/cache/hidden"];

export const CREATE = ["create", "--json", "--min-layer-size", "0", "--span-size", "256KiB"];
