import { type Digest, Digester } from "../../src/oci/digest.ts";

/** A gzip-compressed layer on disk. */
export interface LayerFile {
  readonly path: string;
  readonly digest: Digest;
  readonly diffId: Digest;
  readonly compressedSize: number;
  readonly uncompressedSize: number;
}

/** Reads a layer through, once as it is and once decompressed by gzip. */
export async function readLayerFile(path: string, signal: AbortSignal): Promise<LayerFile> {
  const gzip = Bun.spawn(["gzip", "-dc", path], {
    stdio: ["ignore", "pipe", "inherit"],
    signal,
    killSignal: "SIGKILL",
  });
  const [compressed, uncompressed] = await Promise.all([
    digestStream(Bun.file(path).stream()),
    digestStream(gzip.stdout),
  ]);
  const code = await gzip.exited;
  signal.throwIfAborted();
  if (code !== 0) throw new Error(`Cannot read "${path}": gzip's exit code is ${code}, want 0`);
  return {
    path,
    digest: compressed.digest,
    diffId: uncompressed.digest,
    compressedSize: compressed.size,
    uncompressedSize: uncompressed.size,
  };
}

async function digestStream(
  stream: ReadableStream<Uint8Array>,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const digester = new Digester();
  for await (const chunk of stream) digester.update(chunk);
  const { size } = digester;
  return { digest: digester.digest(), size };
}
