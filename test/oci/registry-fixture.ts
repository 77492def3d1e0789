import type { Descriptor } from "../../src/oci/descriptor.ts";
import { HttpClient } from "../../src/oci/http.ts";
import type { ParallelPolicy } from "../../src/oci/parallel-download.ts";
import { parseReference, type TagName } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import type { Credentials } from "../../src/oci/credentials.ts";
import type { Logger } from "../../src/observability/log.ts";
import { addImage, type BuiltImage, buildImage } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

// Quick, so that giving up does not take long.
const RETRY = { maxRetries: 3, baseMs: 1, maxMs: 5, maxRetryAfterMs: 2000 };

/** An image of one layer, the same on every call. */
export const IMAGE: BuiltImage = await buildImage({
  layers: [{ entries: [{ name: "a", content: sampleBytes(600_000) }], compression: "none" }],
});

/** Its layer. */
export const LAYER: { readonly descriptor: Descriptor; readonly bytes: Uint8Array } = first(
  IMAGE.layers,
);

/** The tag `v1`. */
export const V1: TagName = first([parseReference("app:v1").tag].filter((tag) => tag !== undefined));

export interface ClientOptions {
  readonly credentials?: Credentials;
  readonly idleTimeoutMs?: number;
  readonly documentTimeoutMs?: number;
  readonly parallel?: Partial<ParallelPolicy>;
  readonly log?: Logger;
}

/** A client of the repository `app` that gives up soon. */
export function clientOf(
  { host }: { readonly host: string },
  { credentials, idleTimeoutMs = 5000, documentTimeoutMs, parallel, log }: ClientOptions = {},
): RegistryClient {
  const { registry, repository } = parseReference(`${host}/app`);
  const http = new HttpClient({
    retry: RETRY,
    idleTimeoutMs,
    ...(documentTimeoutMs === undefined ? {} : { documentTimeoutMs }),
    ...(log === undefined ? {} : { log }),
  });
  return new RegistryClient({
    registry,
    repository,
    http,
    credentials,
    log,
    ...(parallel === undefined ? {} : { parallel }),
  });
}

/** A registry that holds the image as `app:v1`. */
export async function startRegistry(manners: Partial<RegistryManners> = {}): Promise<TestRegistry> {
  const registry = TestRegistry.start(manners);
  await addImage(registry, "app", { image: IMAGE, tag: "v1" });
  return registry;
}

function first<T>([item]: readonly T[]): T {
  if (item === undefined) {
    throw new Error("there is none");
  }
  return item;
}
