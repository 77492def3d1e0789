import type { Descriptor } from "../../src/oci/descriptor.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { startDockerRegistry } from "../support/docker-registry.ts";
import type { BuiltLayer } from "../support/image-builder.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import type { BenchContext } from "./bench-context.ts";
import { GIGABIT_BYTES } from "./mount-stage.ts";
import { runCommand } from "./run-command.ts";

/** An image in a repository of the stage, under the tag `latest`. */
export interface StagedImage {
  readonly repository: string;
  readonly digest: Digest;
  readonly config: Descriptor;
  /** Bottom first, as the manifest lists them. */
  readonly layers: readonly Descriptor[];
}

interface RawManifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
}

const DELAY_MS = 10;
const PROGRAMS = ["docker-registry", "skopeo", "curl"];
const ACCEPTED = [OCI_MANIFEST, OCI_INDEX].join(", ");

/**
 * A registry of its own, with images of `--images DIR` (see serve-stage.ts) without their indexes; near,
 * and at the end of a line of 10 ms a request and 1 Gbit/s.
 */
export class PushStage implements AsyncDisposable {
  readonly dir: TempDir;
  readonly host: string;
  readonly line: LatencyProxy;
  readonly #resources: AsyncDisposableStack;
  #repositories = 0;

  private constructor(
    made: { readonly dir: TempDir; readonly host: string; readonly line: LatencyProxy },
    resources: AsyncDisposableStack,
  ) {
    this.dir = made.dir;
    this.host = made.host;
    this.line = made.line;
    this.#resources = resources;
  }

  /** @throws where programs or `--images` are missing */
  static async open(
    { images: directory, signal }: BenchContext,
    images: readonly string[],
  ): Promise<PushStage> {
    if (directory === undefined) throw new Error("--images DIR is not given");
    const missing = PROGRAMS.filter((program) => Bun.which(program) === null);
    if (missing.length > 0) throw new Error(`${missing.join(", ")} not installed`);
    await using resources = new AsyncDisposableStack();
    const dir = resources.use(await tempDir());
    const { host } = resources.use(
      await startDockerRegistry("docker-registry", { directory: dir.path }),
    );
    {
      await using source = await startDockerRegistry("docker-registry", { directory });
      for (const image of images) {
        const copy = ["skopeo", "--insecure-policy", "copy", "--quiet"];
        const flags = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        const from = `docker://${source.host}/bench/${image}:latest`;
        await runCommand([...copy, ...flags, from, `docker://${host}/bench/${image}:latest`], {
          signal,
        });
      }
    }
    const options = { target: host, delayMs: DELAY_MS, bytesPerSecond: GIGABIT_BYTES };
    const line = resources.use(await LatencyProxy.start(options));
    return new PushStage({ dir, host, line }, resources.move());
  }

  async imageOf(repository: string): Promise<StagedImage> {
    const { raw, digest } = await this.#manifest(repository, "latest");
    return { repository, digest, config: raw.config, layers: raw.layers };
  }

  /** The blobs of the SOCI index that the image's repository lists, its config with them. */
  async indexBlobs({ repository, digest }: StagedImage): Promise<readonly Descriptor[]> {
    // docker-registry has no Referrers API: the index is under the tag that takes its place.
    const { raw } = await this.#manifest(repository, digest.replace(":", "-"));
    const [index] = raw.manifests ?? [];
    if (index === undefined) throw new Error(`${repository} has no SOCI index`);
    const { config, layers } = (await this.#manifest(repository, index.digest)).raw;
    return [config, ...layers];
  }

  /** The image in a repository that has nothing else but `blobs`. Nothing is copied. */
  async inFreshRepository(
    image: StagedImage,
    blobs: readonly Descriptor[] = [],
  ): Promise<StagedImage> {
    const repository = this.freshName();
    for (const { digest } of [image.config, ...image.layers, ...blobs]) {
      await this.#mount(repository, { digest, from: image.repository });
    }
    const { bytes } = await this.#manifest(image.repository, image.digest);
    await this.#putManifest(repository, bytes);
    return { ...image, repository };
  }

  /** The image with a further layer, in its own repository, as `latest`. */
  async withLayer(image: StagedImage, layer: BuiltLayer): Promise<StagedImage> {
    const { repository } = image;
    const old = await this.#request(`/v2/${repository}/blobs/${image.config.digest}`);
    const config = (await old.json()) as { rootfs: { type: string; diff_ids: string[] } };
    const diffIds = [...config.rootfs.diff_ids, digestOf(layer.tar)];
    const text = JSON.stringify({ ...config, rootfs: { ...config.rootfs, diff_ids: diffIds } });
    const configBytes = new TextEncoder().encode(text);
    const manifest = {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: OCI_CONFIG, ...(await this.#upload(repository, configBytes)) },
      layers: [...image.layers, layer.descriptor],
    };
    await this.#upload(repository, layer.bytes);
    await this.#putManifest(repository, new TextEncoder().encode(JSON.stringify(manifest)));
    return await this.imageOf(repository);
  }

  /** A name that no repository has. */
  freshName(): string {
    this.#repositories += 1;
    return `fresh/r${this.#repositories}`;
  }

  /** curl of these blobs whole, from the far end of the line; nothing is checked or kept. */
  curlBlobs(repository: string, blobs: readonly Descriptor[]): readonly string[] {
    const digests = new Set(blobs.map(({ digest }) => digest));
    const urls = [...digests].flatMap((digest) => [
      "--output",
      "/dev/null",
      `http://${this.line.host}/v2/${repository}/blobs/${digest}`,
    ]);
    return ["curl", "--silent", "--fail", "--parallel", ...urls];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #manifest(
    repository: string,
    reference: string,
  ): Promise<{ readonly raw: RawManifest; readonly bytes: Uint8Array; readonly digest: Digest }> {
    const path = `/v2/${repository}/manifests/${reference}`;
    const response = await this.#request(path, { headers: { accept: ACCEPTED } });
    const bytes = await response.bytes();
    const raw = JSON.parse(new TextDecoder().decode(bytes)) as RawManifest;
    return { raw, bytes, digest: digestOf(bytes) };
  }

  async #putManifest(repository: string, body: Uint8Array): Promise<void> {
    const headers = { "content-type": OCI_MANIFEST };
    await this.#request(`/v2/${repository}/manifests/latest`, { method: "PUT", body, headers });
  }

  async #mount(
    repository: string,
    { digest, from }: { readonly digest: Digest; readonly from: string },
  ): Promise<void> {
    const path = `/v2/${repository}/blobs/uploads/?mount=${digest}&from=${from}`;
    const { status } = await this.#request(path, { method: "POST" });
    if (status !== 201) throw new Error(`${digest} was not mounted from ${from}: ${status}`);
  }

  async #upload(
    repository: string,
    bytes: Uint8Array,
  ): Promise<{ readonly digest: Digest; readonly size: number }> {
    const started = await this.#request(`/v2/${repository}/blobs/uploads/`, { method: "POST" });
    const place = new URL(started.headers.get("location") ?? "", `http://${this.host}`);
    const digest = digestOf(bytes);
    place.searchParams.set("digest", digest);
    const headers = { "content-type": "application/octet-stream" };
    await this.#request(place.href, { method: "PUT", body: bytes, headers });
    return { digest, size: bytes.length };
  }

  async #request(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(new URL(path, `http://${this.host}`), init);
    if (response.ok) return response;
    throw new Error(`${init.method ?? "GET"} ${path}: ${response.status} ${await response.text()}`);
  }
}

export function bytesOf(blobs: readonly Descriptor[]): number {
  const sizes = new Map(blobs.map(({ digest, size }) => [digest, size]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
