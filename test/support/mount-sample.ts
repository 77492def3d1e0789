import { type BuiltLayer, buildLayer, type LayerCompression } from "./image-builder.ts";
import { sampleBytes } from "./sample-bytes.ts";

/** Layers, and what their files must be, by path. */
export interface MountSample {
  readonly layers: readonly BuiltLayer[];
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export interface MountSampleOptions {
  /** Of the large file, in the lowest layer. Default 2 MB. */
  readonly largeBytes?: number;
  /** Small files, in the layer above. Default 30. */
  readonly smallFiles?: number;
  readonly compression?: LayerCompression;
}

export const LARGE = "usr/lib/large";

/** Two layers: a large file; a directory of small ones, one of them set-user-ID. */
export async function mountSample({
  largeBytes = 2_000_000,
  smallFiles = 30,
  compression = "gzip",
}: MountSampleOptions = {}): Promise<MountSample> {
  const files = new Map<string, Uint8Array>([[LARGE, sampleBytes(largeBytes)]]);
  for (let i = 0; i < smallFiles; i++) {
    files.set(`usr/share/small/file-${i}`, sampleBytes(10_000 + 1237 * i, i + 2));
  }
  const entries = [...files].map(([name, content]) => ({ name, content, mode: 0o644 }));
  const [large = [], small = []] = [entries.slice(0, 1), entries.slice(1)];
  const layers = await Promise.all([
    buildLayer({ entries: large, compression }),
    buildLayer({
      entries: [...small, { name: "usr/bin/su", content: "su", mode: 0o4755 }],
      compression,
    }),
  ]);
  return { layers, files };
}
