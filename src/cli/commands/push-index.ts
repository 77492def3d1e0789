import { SociError } from "../../errors.ts";
import type { Logger } from "../../observability/log.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatPlatform } from "../../oci/platform.ts";
import type { RegistrySource } from "../../oci/registry-source.ts";
import type { PlatformImage } from "../../oci/select-images.ts";
import { SOCI_INDEX_V1, SOCI_INDEX_V2 } from "../../soci/annotations.ts";
import type { LocalStore } from "../../soci/local-store.ts";
import { DEFAULT_MAX_CONCURRENT_UPLOADS, type PushEvent, pushSociIndex } from "../../soci/push.ts";
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
      "Where the repository has an index of the image: push anyway and say so, leave it at that, or do not look",
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
  readonly store: LocalStore;
  readonly existingIndex: string;
  readonly maxConcurrentUploads: number;
  /** Where it says what it does, as the Go tool; `undefined`: nowhere. */
  readonly stdout: OutputStream | undefined;
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
    const { source, existingIndex, stdout, log, signal } = this.#options;
    if (existingIndex === "allow") return true;
    await stdout?.write("checking if a soci index already exists in remote repository...\n");
    const found = await source.referrers(descriptor.digest, SOCI_INDEX_V1, { signal });
    this.#listed.set(
      descriptor.digest,
      found.map(({ digest }) => digest),
    );
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
    if (stdout === undefined) log.warn(`${what}: pushing index anyway`);
    else await stdout.write(`[WARN] ${what}: pushing index anyway\n`);
    return true;
  }

  /** Pushes the newest v1 index of an image's manifest, if it is wanted. @throws not-found when there is none */
  async pushNewest(image: PlatformImage): Promise<PushedIndex | undefined> {
    const { store, source, log } = this.#options;
    const indexes = store.artifacts.findIndexes(image.descriptor.digest);
    const newest = indexes.find(({ artifactType }) => artifactType === SOCI_INDEX_V1);
    if (newest !== undefined) {
      return (await this.isWanted(image)) ? await this.push(newest.digest, image) : undefined;
    }
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
