import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { type Headers, type Pack, pack } from "tar-stream";
import type { Descriptor } from "../src/oci/descriptor.ts";
import { type Digest, Digester } from "../src/oci/digest.ts";
import { OCI_LAYER_GZIP } from "../src/oci/media-types.ts";
import type { HostEntry } from "./demo-files.ts";

/** An entry made up for the demo, such as a whiteout. */
export interface TextEntry {
  readonly name: string;
  readonly content: string;
}

export interface LayerPlan {
  readonly title: string;
  readonly entries: readonly (HostEntry | TextEntry)[];
  /** Of gzip, 1 to 9. */
  readonly level: number;
}

/** A layer in a file of its own. */
export interface DemoLayer extends LayerPlan {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  readonly path: string;
  /** Bytes of the tar. */
  readonly tarSize: number;
}

/** Packs a layer into a file: tar through gzip, both digests on the way. */
export async function writeLayer(
  plan: LayerPlan,
  { path, signal }: { readonly path: string; readonly signal: AbortSignal },
): Promise<DemoLayer> {
  const uncompressed = new Digester();
  const compressed = new Digester();
  const tar = pack();
  const packing = packEntries(tar, plan.entries, signal);
  await Promise.all([
    packing,
    pipeline(
      tar,
      (chunks: AsyncIterable<Uint8Array>) => digested(chunks, uncompressed),
      createGzip({ level: plan.level }),
      (chunks: AsyncIterable<Uint8Array>) => digested(chunks, compressed),
      createWriteStream(path),
      { signal },
    ),
  ]);
  const { size } = compressed;
  return {
    ...plan,
    descriptor: { mediaType: OCI_LAYER_GZIP, digest: compressed.digest(), size },
    tarSize: uncompressed.size,
    diffId: uncompressed.digest(),
    path,
  };
}

async function packEntries(
  tar: Pack,
  entries: LayerPlan["entries"],
  signal: AbortSignal,
): Promise<void> {
  try {
    for (const entry of entries) {
      signal.throwIfAborted();
      const [header, content] = await headerAndContent(entry);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      tar
        .entry(header, content, (error) => (error === null ? resolve() : reject(error)))
        .once("error", reject);
      await promise;
    }
    tar.finalize();
  } catch (error) {
    tar.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

async function headerAndContent(
  entry: HostEntry | TextEntry,
): Promise<readonly [Headers, Uint8Array]> {
  if ("content" in entry) {
    const header: Headers = { name: entry.name, type: "file", mtime: new Date(0) };
    return [header, Buffer.from(entry.content)];
  }
  const { name, type, mode, mtime, linkname } = entry;
  const header = { name, type, mode, mtime, ...(linkname === undefined ? {} : { linkname }) };
  return [header, type === "file" ? await readFile(entry.path) : Buffer.alloc(0)];
}

async function* digested(
  chunks: AsyncIterable<Uint8Array>,
  digester: Digester,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    digester.update(chunk);
    yield chunk;
  }
}
