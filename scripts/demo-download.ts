import { mapConcurrent } from "../src/async/map-concurrent.ts";
import { SociError } from "../src/errors.ts";
import type { Descriptor } from "../src/oci/descriptor.ts";
import { Digester } from "../src/oci/digest.ts";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";
import type { Reference } from "../src/oci/reference.ts";

/** What one way of getting at files has cost. */
export interface Cost {
  readonly ms: number;
  readonly requests: number;
  /** Of bodies. */
  readonly bytes: number;
}

export interface DownloadOptions {
  readonly layers: readonly Descriptor[];
  /** Layers under way at once. */
  readonly parallel: number;
  readonly signal: AbortSignal;
}

/**
 * Downloads and verifies an image from a registry without TLS as clients do that know nothing of
 * SOCI: one request for each layer. None of our own client takes part in it, nothing is kept.
 */
export async function downloadPlainly(
  { registry, repository, tag }: Reference,
  { layers, parallel, signal }: DownloadOptions,
): Promise<Cost> {
  const started = performance.now();
  const base = `http://${registry}/v2/${repository}`;
  const manifest = await get(`${base}/manifests/${tag}`, signal);
  const bytes = await mapConcurrent(
    layers,
    async ({ digest, size }, inner) => {
      const got = await get(`${base}/blobs/${digest}`, inner);
      if (got.digest() !== digest) {
        throw new SociError("data-loss", `Cannot use layer ${digest}: its bytes are wrong`);
      }
      return size;
    },
    { limit: parallel, signal },
  );
  return {
    ms: performance.now() - started,
    requests: 1 + layers.length,
    bytes: bytes.reduce((sum, size) => sum + size, manifest.size),
  };
}

async function get(url: string, signal: AbortSignal): Promise<Digester> {
  const headers = { accept: `${OCI_MANIFEST}, */*` };
  const answer = await fetch(url, { headers, decompress: false, signal });
  if (!answer.ok || answer.body === null) {
    throw new SociError("unavailable", `Cannot get "${url}": status ${answer.status}`);
  }
  const digester = new Digester();
  for await (const chunk of answer.body) digester.update(chunk);
  return digester;
}
