// Reads from a registry as sociable does and throws the bytes away; prints how many there were.
// Usage: bun transfer-main.ts blob HOST REPOSITORY DIGEST SIZE
//        bun transfer-main.ts ranges HOST REPOSITORY DIGEST SIZE COUNT BYTES AT-ONCE
//        bun transfer-main.ts warm-ranges …: once more before, and prints the seconds of the second time too
//        bun transfer-main.ts index HOST REPOSITORY REFERENCE ARTIFACT-TYPE
import { mapConcurrent } from "../../src/async/map-concurrent.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { isDigest, parseDigest } from "../../src/oci/digest.ts";
import { parseImageManifest } from "../../src/oci/manifest.ts";
import { OCTET_STREAM } from "../../src/oci/media-types.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";

const [what, host, name = "", ...rest] = process.argv.slice(2);
const { registry, repository } = parseReference(`${host}/${name}`);
const client = new RegistryClient({ registry, repository });
process.stdout.write(String(await run()));

async function run(): Promise<number | string> {
  const [first = "", second = "", ...numbers] = rest;
  switch (what) {
    case "blob":
      return await countBytes(client.getBlob(blobOf(first, second)));
    case "ranges":
      return await readRanges(blobOf(first, second), numbers.map(Number));
    case "warm-ranges":
      return await readWarmly(() => readRanges(blobOf(first, second), numbers.map(Number)));
    case "index":
      return await readIndex(first, second);
    default:
      throw new Error(`want blob, ranges, warm-ranges or index, not "${what}"`);
  }
}

function blobOf(digest: string, size: string): Descriptor {
  return { mediaType: OCTET_STREAM, digest: parseDigest(digest), size: Number(size) };
}

async function readRanges(
  blob: Descriptor,
  [count = 1, bytes = 1, atOnce = 1]: readonly number[],
): Promise<number> {
  const starts = Array.from({ length: count }, (_, i) => i * bytes);
  const counts = await mapConcurrent(
    starts,
    (start, signal) => countBytes(client.getBlobRange(blob, { start, end: start + bytes, signal })),
    { limit: atOnce },
  );
  return sum(counts);
}

async function readWarmly(read: () => Promise<number>): Promise<string> {
  await read();
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  const bytes = await read();
  const { user, system } = process.cpuUsage(cpuBefore);
  return `${bytes} ${(performance.now() - started) / 1000} ${(user + system) / 1e6}`;
}

/** Manifest, referrers, the first of them, and its blobs: by digest the first two at once. */
async function readIndex(reference: string, artifactType: string): Promise<number> {
  const { tag, digest } = parseReference(
    isDigest(reference) ? `${host}/${name}@${reference}` : `${host}/${name}:${reference}`,
  );
  const manifest = client.getManifest(digest ?? tag ?? parseDigest(""));
  const subject = digest ?? (await manifest).descriptor.digest;
  const [index] = await client.referrers(subject, artifactType);
  if (index === undefined) {
    throw new Error(`nothing refers to ${subject}`);
  }
  const [{ bytes }] = await Promise.all([client.getManifest(index.digest), manifest]);
  const { layers } = parseImageManifest(bytes);
  return sum(await Promise.all(layers.map((layer) => countBytes(client.getBlob(layer)))));
}

async function countBytes(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    // As a reader does that hands its chunks on to a worker: the memory is free at once.
    if (chunk.buffer instanceof ArrayBuffer) {
      chunk.buffer.transfer(0);
    }
  }
  return bytes;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
