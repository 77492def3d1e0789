import { resolve } from "node:path";
import { SociError } from "../../errors.ts";
import { selectImages } from "../../oci/select-images.ts";
import { formatPlatform } from "../../oci/platform.ts";
import type { ArtifactSink } from "../../soci/artifact-sink.ts";
import { createIndex } from "../../soci/create-index.ts";
import { LayoutSink } from "../../soci/layout-sink.ts";
import { type ArtifactStoreOptions, openArtifactStore, STORE_FLAGS } from "../artifact-store.ts";
import type { CliIo } from "../cli-io.ts";
import { defineCommand } from "../command.ts";
import { IMAGE_ARG, openSource, PLATFORMS_FLAGS, platformsOf } from "../image-flags.ts";
import { openZtocFactory } from "../open-ztoc-factory.ts";
import { writeJson } from "../output.ts";
import { REGISTRY_FLAGS } from "../registry-options.ts";
import { safeText } from "../safe-text.ts";
import type { SociStore } from "../soci/soci-store.ts";
import { INDEX_FLAGS, optimizationsOf } from "./index-flags.ts";
import { layerJson, layerLine } from "./layer-report.ts";
import { prefetchFilesOf } from "./prefetch-files.ts";
import { prefetchJson, reportPrefetch } from "./prefetch-report.ts";
import { IndexPusher, PUSH_FLAGS } from "./push-index.ts";
import { openPushTarget } from "./push-target.ts";

export const createCommand = defineCommand({
  name: "create",
  summary: "Build the SOCI index of an image",
  description:
    "Builds a v1 SOCI index: a zTOC for each layer that is large enough, several layers at once, each read once and never stored. The index goes to the local store, from where --push or `sociable push` sends it to the image's repository, or into an OCI layout. Layers that cannot be indexed are named with the reason; the image works without them.",
  examples: [
    {
      command: "sociable create registry.example.com/team/app:1.4",
      explanation: "Index an image in its registry, without pulling it",
    },
    {
      command: "sociable create --push --existing-index skip registry.example.com/team/app:1.4",
      explanation: "Index it and push the index, unless it has one: nothing else is needed",
    },
    {
      command: "sociable create --output oci:./app oci:./app:latest",
      explanation: "Index an image in an OCI layout and put the index beside it",
    },
    {
      command:
        "sociable create --content-store containerd containerd:registry.example.com/team/app:1.4",
      explanation: "Index an image that containerd has; the index stays there as long as the image",
    },
    {
      command: "sociable create --all-platforms --min-layer-size 0 oci-archive:app.tar",
      explanation: "Index every platform of an image in an archive, small layers too",
    },
  ],
  args: [IMAGE_ARG],
  flags: {
    ...PLATFORMS_FLAGS,
    ...INDEX_FLAGS,
    output: {
      type: "string",
      short: "o",
      valueName: "oci:DIR",
      description: "Put the index into this OCI layout, not into the local store",
    },
    push: {
      type: "boolean",
      description: "Push the index to the image's repository at once, as `sociable push` does",
    },
    ...PUSH_FLAGS,
    ...STORE_FLAGS,
    ...REGISTRY_FLAGS,
    json: {
      type: "boolean",
      description: "Print a JSON array: for each platform the index's digest and its layers",
    },
  },
  async run({ args, flags, io, log, root, signal, progress, services }) {
    const optimizations = optimizationsOf(flags);
    const platforms = platformsOf(flags);
    const prefetchFiles = await prefetchFilesOf(flags, io.cwd);
    if (flags.push && flags.output !== undefined) {
      throw new SociError(
        "invalid-argument",
        "Cannot use --push with --output: the index goes to the local store, and from there",
      );
    }
    const registry = { flags, io, log, signal };
    await using target = flags.push ? await openPushTarget(args.image, registry) : undefined;
    await using source = target ?? (await openSource(args.image, registry));
    await using sink = await openSink({ flags, io, root, signal });
    using factory = openZtocFactory(services, sink.directory);
    const stdout = flags.json ? undefined : io.stdout;
    const pusher =
      target &&
      sink.store &&
      new IndexPusher({
        source: target,
        store: sink.store,
        existingIndex: flags["existing-index"],
        maxConcurrentUploads: flags["max-concurrent-uploads"],
        stdout,
        warnings: stdout,
        log,
        progress,
        signal,
      });
    const results: unknown[] = [];
    for (const image of await selectImages(source, platforms, { signal })) {
      if (pusher !== undefined && !(await pusher.isWanted(image))) continue;
      const lines: Promise<void>[] = [];
      const created = await createIndex(image, {
        source,
        sink: sink.sink,
        buildZtoc: factory.build,
        parallel: factory.parallel,
        spanSize: flags["span-size"],
        minLayerSize: flags["min-layer-size"],
        optimizations,
        force: flags.force,
        prefetchFiles,
        signal,
        onLayer: (outcome) => {
          const line = layerLine(outcome);
          if (stdout !== undefined && line !== "") lines.push(stdout.write(`${line}\n`));
        },
        onRead: ({ digest, size }) => progress.item(digest, { totalBytes: size }),
      });
      await Promise.all(lines);
      await reportPrefetch(created, { stdout, log });
      const { descriptor, layers } = created;
      const platform = formatPlatform(image.platform);
      results.push({
        digest: descriptor.digest,
        size: descriptor.size,
        manifest: image.descriptor.digest,
        platform,
        layers: layers.map(layerJson),
        ...prefetchJson(created),
      });
      await stdout?.write(`index ${descriptor.digest} for ${safeText(platform)}\n`);
      await pusher?.push(descriptor.digest, image);
    }
    if (flags.json) await writeJson(io.stdout, results);
  },
});

interface OpenedSink extends AsyncDisposable {
  readonly sink: ArtifactSink;
  /** The sink, where indexes can be pushed from it. */
  readonly store: SociStore | undefined;
  /** On the same disk: for what is too large for memory meanwhile. */
  readonly directory: string;
}

async function openSink({
  flags,
  io,
  root,
  signal,
}: {
  readonly flags: ArtifactStoreOptions["flags"] & { readonly output: string | undefined };
  readonly io: CliIo;
  readonly root: string;
  readonly signal: AbortSignal;
}): Promise<OpenedSink> {
  const { output } = flags;
  if (output === undefined) {
    const store = await openArtifactStore({ flags, io, root, isForWork: true, signal });
    return {
      sink: store,
      store,
      directory: root,
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    };
  }
  if (!output.startsWith("oci:") || output.length === "oci:".length) {
    throw new SociError(
      "invalid-argument",
      `Cannot write to ${JSON.stringify(output)}: want oci:DIR`,
    );
  }
  if (flags["content-store"] !== "local") {
    throw new SociError("invalid-argument", "Cannot use --output with --content-store");
  }
  const directory = resolve(io.cwd, output.slice("oci:".length));
  const sink = await LayoutSink.open(directory);
  return {
    sink,
    store: undefined,
    directory,
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  };
}
