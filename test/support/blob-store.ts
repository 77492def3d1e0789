import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, Digester, digestOf, hexOf } from "../../src/oci/digest.ts";

/** Where a test registry keeps its blobs. */
export interface BlobStore {
  get(digest: Digest): Promise<Blob | undefined>;
  /** Keeps a stream under its digest, which it returns. */
  put(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Digest>;
  delete(digest: Digest): Promise<void>;
}

export function memoryBlobs(): BlobStore {
  const blobs = new Map<Digest, Blob>();
  return {
    get: async (digest) => blobs.get(digest),
    put: async (chunks) => {
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks) {
        parts.push(chunk);
      }
      const bytes = Buffer.concat(parts);
      const digest = digestOf(bytes);
      blobs.set(digest, new Blob([bytes]));
      return digest;
    },
    delete: async (digest) => {
      blobs.delete(digest);
    },
  };
}

/** Blobs as files of a directory: for images that should not be in memory. */
export function directoryBlobs(dir: string): BlobStore {
  const pathOf = (digest: Digest): string => join(dir, hexOf(digest));
  let uploads = 0;
  return {
    get: async (digest) => {
      const file = Bun.file(pathOf(digest));
      return (await file.exists()) ? file : undefined;
    },
    put: async (chunks) => {
      await mkdir(dir, { recursive: true });
      uploads += 1;
      const path = join(dir, `upload-${process.pid}-${uploads}`);
      const sink = Bun.file(path).writer({ highWaterMark: 1 << 20 });
      const digester = new Digester();
      for await (const chunk of chunks) {
        digester.update(chunk);
        await sink.write(chunk);
      }
      await sink.end();
      const digest = digester.digest();
      await rename(path, pathOf(digest));
      return digest;
    },
    delete: (digest) => rm(pathOf(digest), { force: true }),
  };
}
