import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { extract } from "tar-stream";
import { mapConcurrent } from "../src/async/map-concurrent.ts";
import type { Descriptor } from "../src/oci/descriptor.ts";
import { type Digest, Digester } from "../src/oci/digest.ts";
import type { ImageSource } from "../src/oci/image-source.ts";
import { hostPlatform } from "../src/oci/platform.ts";
import type { TagName } from "../src/oci/reference.ts";
import type { RegistryClient } from "../src/oci/registry.ts";
import { resolveImage } from "../src/oci/resolve-image.ts";
import type { Candidate } from "./demo-choice.ts";

/** A file as another tar reader than sociable's found it in a layer. */
export interface UnpackedFile extends Candidate {
  readonly digest: Digest;
}

export interface CopyOptions {
  readonly client: RegistryClient;
  readonly tag: TagName;
  readonly signal: AbortSignal;
}

/** Copies this machine's platform of an image, as it is. Resolves to its layers, bottom first. */
export async function copyImage(
  source: ImageSource,
  { client, tag, signal }: CopyOptions,
): Promise<readonly Descriptor[]> {
  const { bytes, manifest } = await resolveImage(source, { platform: hostPlatform(), signal });
  const { config, layers, mediaType } = manifest;
  await mapConcurrent(
    [...layers, config],
    (blob, inner) =>
      client.uploadBlob(blob, () => source.blob(blob, { signal: inner }), { signal: inner }),
    { limit: 3, signal },
  );
  await client.putManifest(bytes, { mediaType, reference: tag, signal });
  return layers;
}

/** The regular files of a layer. */
export async function unpackLayer(
  blob: AsyncIterable<Uint8Array>,
  { mediaType, layer }: { readonly mediaType: string; readonly layer: number },
): Promise<UnpackedFile[]> {
  const tar = extract();
  const files: UnpackedFile[] = [];
  const read = async (): Promise<void> => {
    for await (const entry of tar) {
      const digester = new Digester();
      for await (const chunk of entry) digester.update(chunk);
      if (entry.header.type !== "file") continue;
      const path = `/${entry.header.name.replace(/^(?:\.?\/)+/, "")}`;
      files.push({ path, size: digester.size, layer, digest: digester.digest() });
    }
  };
  await Promise.all([pipeline([blob, ...decompressors(mediaType), tar]), read()]);
  return files;
}

function decompressors(mediaType: string): NodeJS.ReadWriteStream[] {
  if (mediaType.endsWith("gzip")) return [createGunzip()];
  return mediaType.endsWith("zstd") ? [createZstdDecompress()] : [];
}

/** Those of `files` that the merged image shows as they are, by what `sociable ls -R --json` printed. */
export function visibleFiles(files: readonly UnpackedFile[], listing: string): UnpackedFile[] {
  const listed: unknown = JSON.parse(listing);
  const regular = new Set(
    Array.isArray(listed) ? listed.flatMap((entry: unknown) => regularFile(entry)) : [],
  );
  const times = new Map<string, number>();
  for (const { path } of files) times.set(path, (times.get(path) ?? 0) + 1);
  // What several layers hold is left out: which of them shows is for other tests.
  return files.filter(
    ({ path, size }) => times.get(path) === 1 && regular.has(`${size} ${path}`) && size > 0,
  );
}

function regularFile(entry: unknown): string[] {
  if (typeof entry !== "object" || entry === null) return [];
  if (!("path" in entry && "type" in entry && "size" in entry)) return [];
  return entry.type === "reg" ? [`${entry.size} ${entry.path}`] : [];
}
