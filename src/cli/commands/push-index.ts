import { SociError } from "../../errors.ts";
import type { Logger } from "../../observability/log.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatPlatform } from "../../oci/platform.ts";
import type { RegistrySource } from "../../oci/registry-source.ts";
import type { PlatformImage } from "../../oci/select-images.ts";
import { SOCI_INDEX_V1, SOCI_INDEX_V2 } from "../../soci/annotations.ts";
import type { ArtifactDatabase } from "../../soci/artifact-database.ts";
import {
  DEFAULT_MAX_CONCURRENT_UPLOADS,
  type PushEvent,
  pushSociIndex,
  type PushStore,
} from "../../soci/push.ts";
import { sociIndexDescriptor } from "../../soci/soci-index.ts";
import type { OutputStream } from "../cli-io.ts";
import type { FlagSpecs } from "../flag-spec.ts";
import type { Progress } from "../progress.ts";

/** What to do where the repository has SOCI indexes of the image already. */
export type ExistingIndex = "warn" | "skip" | "allow";

const EXISTING_INDEX = ["warn", "skip", "allow"] as const satisfies readonly ExistingIndex[];
const MAX_UPLOADS = 64;

/** Of commands that push SOCI indexes. */
export const PUSH_FLAGS = {
  "existing-index": {
    type: "choice",
    choices: EXISTING_INDEX,
    default: "warn",
    description:
      "Where the repository has an index of the image: push and say so, leave it at that, or push and say nothing",
  },
  "max-concurrent-uploads": {
    type: "integer",
    default: DEFAULT_MAX_CONCURRENT_UPLOADS,
    min: 0,
    valueName: "N",
    description: `How many blobs are sent at once; 0 is ${DEFAULT_MAX_CONCURRENT_UPLOADS}, at most ${MAX_UPLOADS}`,
  },
} as const satisfies FlagSpecs;

export interface IndexPusherOptions {
  readonly source: RegistrySource;
  readonly store: PushStore & { readonly artifacts: Pick<ArtifactDatabase, "findIndexes"> };
  readonly existingIndex: string;
  readonly maxConcurrentUploads: number;
  /** Where it says what it does, as the Go tool; `undefined`: nowhere. */
  readonly stdout: OutputStream | undefined;
  /** Where it says that there is an index already: the Go tool does so even when it is quiet. */
  readonly warnings: OutputStream | undefined;
  readonly log: Logger;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** What was pushed for one platform, for --json. */
export interface PushedIndex {
  readonly digest: Digest;
  readonly platform: string;
  readonly subject: Digest;
  readonly blobs: readonly unknown[];
}

/** Pushes SOCI indexes of one image to its repository, and says what it does. */
export class IndexPusher {
  readonly #options: IndexPusherOptions;
  /** Indexes that the repository listed, by the manifest they are of. */
  readonly #listed = new Map<Digest, readonly Digest[]>();

  constructor(options: IndexPusherOptions) {
    this.#options = options;
  }

  /** Looks for indexes in the repository; whether one is to be pushed. */
  async isWanted({ descriptor }: PlatformImage): Promise<boolean> {
    const { existingIndex, stdout, warnings, log } = this.#options;
    if (existingIndex !== "allow") {
      await stdout?.write("checking if a soci index already exists in remote repository...\n");
    }
    if (existingIndex === "allow") {
      await this.#listIfPossible(descriptor.digest);
      return true;
    }
    const found = await this.#list(descriptor.digest);
    const [first] = found;
    if (first === undefined) return true;
    const what =
      found.length === 1
        ? `soci index found in remote repository with digest: ${first.digest}`
        : "multiple soci indices found in remote repository";
    if (existingIndex === "skip") {
      await stdout?.write(
        `${what}: skipping pushing artifacts for image manifest: ${descriptor.digest}\n`,
      );
      return false;
    }
    if (warnings === undefined) log.warn(`${what}: pushing index anyway`);
    else await warnings.write(`[WARN] ${what}: pushing index anyway\n`);
    return true;
  }

  /** What is listed need not be sent; where that cannot be known, all is asked for. */
  async #listIfPossible(manifest: Digest): Promise<void> {
    const { log, signal } = this.#options;
    try {
      await this.#list(manifest);
    } catch (error) {
      signal.throwIfAborted();
      log.debug("referrers cannot be listed", { manifest, error });
    }
  }

  async #list(manifest: Digest): Promise<readonly Descriptor[]> {
    const { source, signal } = this.#options;
    const found = await source.referrers(manifest, SOCI_INDEX_V1, { signal });
    this.#listed.set(
      manifest,
      found.map(({ digest }) => digest),
    );
    return found;
  }

  /** The newest v1 index of an image's manifest in the local store. @throws not-found when there is none */
  newestOf(image: PlatformImage): Digest {
    const { store, source, log } = this.#options;
    const indexes = store.artifacts.findIndexes(image.descriptor.digest);
    const newest = indexes.find(({ artifactType }) => artifactType === SOCI_INDEX_V1);
    if (newest !== undefined) return newest.digest;
    if (indexes.some(({ artifactType }) => artifactType === SOCI_INDEX_V2)) {
      log.warn("v2 SOCI index skipped: it is part of its image, push that");
    }
    const platform = formatPlatform(image.platform);
    throw new SociError(
      "not-found",
      `could not find any soci index manifest v1 to push for platform ${platform}`,
      { hint: `Build it first: sociable create --platform ${platform} ${source.name}` },
    );
  }

  /** Pushes an index of the local store. What the repository has listed is there, with all it names. */
  async push(digest: Digest, { descriptor, platform }: PlatformImage): Promise<PushedIndex> {
    const { source, store, stdout, progress, signal, maxConcurrentUploads } = this.#options;
    const blobs: unknown[] = [];
    const lines: Promise<void>[] = [];
    const report = ({ descriptor: { digest: blob, size, mediaType }, outcome }: PushEvent) => {
      if (outcome !== "pushing") blobs.push({ digest: blob, size, mediaType, outcome });
      const words = outcome === "pushed" ? "successfully pushed" : outcome;
      if (stdout !== undefined)
        lines.push(stdout.write(`${words} artifact with digest: ${blob}\n`));
    };
    await stdout?.write(`pushing soci index with digest: ${digest}\n`);
    if (this.#listed.get(descriptor.digest)?.includes(digest) === true) {
      const index = sociIndexDescriptor(await store.readIndexBytes(digest), "v1");
      report({ descriptor: index, outcome: "skipped" });
    } else {
      // The manifest that the index refers to was found in the repository.
      await stdout?.write(`skipped artifact with digest: ${descriptor.digest}\n`);
      await pushSociIndex(digest, {
        client: source.client,
        store,
        maxConcurrentUploads: Math.min(
          maxConcurrentUploads === 0 ? DEFAULT_MAX_CONCURRENT_UPLOADS : maxConcurrentUploads,
          MAX_UPLOADS,
        ),
        signal,
        onEvent: report,
        onSend: ({ digest: blob, size }) => progress.item(blob, { totalBytes: size }),
      });
    }
    await Promise.all(lines);
    return { digest, platform: formatPlatform(platform), subject: descriptor.digest, blobs };
  }
}
