import { SociError } from "../../errors.ts";
import { openRegistry } from "../../oci/open-image-source.ts";
import { formatPlatform } from "../../oci/platform.ts";
import { RegistrySource } from "../../oci/registry-source.ts";
import { selectImages } from "../../oci/select-images.ts";
import { parseSourceName } from "../../oci/source-name.ts";
import { SOCI_INDEX_V1 } from "../../soci/annotations.ts";
import { openLocalStore } from "../../soci/local-store.ts";
import { DEFAULT_MAX_CONCURRENT_UPLOADS, pushSociIndex } from "../../soci/push.ts";
import { defineCommand } from "../command.ts";
import { PLATFORMS_FLAGS, platformsOf } from "../image-flags.ts";
import { writeJson } from "../output.ts";
import { REGISTRY_FLAGS, registryOptions } from "../registry-options.ts";

export const pushCommand = defineCommand({
  name: "push",
  summary: "Push the SOCI index of an image to its repository",
  description:
    "Pushes the newest v1 index that `sociable create` made for each platform: its zTOCs, then the index, which refers to the image's manifest. What the repository has already is not sent again. Where the registry does not list referrers itself, the fallback tag is updated.",
  examples: [
    {
      command: "sociable push registry.example.com/team/app:1.4",
      explanation: "Push the index of this machine's platform",
    },
    {
      command: "sociable push --all-platforms localhost:5000/app",
      explanation: "Push every platform's index to a registry on this machine",
    },
    {
      command: "sociable push --user ci registry.example.com/team/app:1.4 < password.txt",
      explanation: "Log in with a password that no other user of the machine can see",
    },
  ],
  args: [{ name: "image", required: true, description: "REF of the image in its registry" }],
  flags: {
    ...PLATFORMS_FLAGS,
    "max-concurrent-uploads": {
      type: "integer",
      default: DEFAULT_MAX_CONCURRENT_UPLOADS,
      min: 1,
      max: 64,
      valueName: "N",
      description: "How many blobs are sent at once",
    },
    quiet: {
      type: "boolean",
      short: "q",
      description: "Print the indexes' digests and nothing else",
    },
    ...REGISTRY_FLAGS,
    json: {
      type: "boolean",
      description: "Print a JSON array: for each platform the index's digest and its blobs",
    },
  },
  async run({ args, flags, io, log, root, signal }) {
    const name = parseSourceName(args.image);
    if (name.transport !== "registry") {
      throw new SociError(
        "invalid-argument",
        `Cannot push to "${args.image}": want the name of an image in a registry`,
        { hint: "`sociable create --output oci:DIR` writes an index into a layout" },
      );
    }
    const { reference } = name;
    const options = await registryOptions(reference.registry, { flags, io, log, signal });
    const client = await openRegistry(reference, options);
    await using source = new RegistrySource({ reference, client });
    await using store = await openLocalStore({ root, signal });
    const results: unknown[] = [];
    const isTalking = !flags.json && !flags.quiet;
    for (const image of await selectImages(source, platformsOf(flags), { signal })) {
      const platform = formatPlatform(image.platform);
      const newest = store.artifacts
        .findIndexes(image.descriptor.digest)
        .find(({ artifactType }) => artifactType === SOCI_INDEX_V1);
      if (newest === undefined) {
        throw new SociError(
          "not-found",
          `could not find any soci index manifest v1 to push for platform ${platform}`,
          { hint: `Build it first: sociable create --platform ${platform} ${args.image}` },
        );
      }
      if (isTalking) await io.stdout.write(`pushing soci index with digest: ${newest.digest}\n`);
      const blobs: unknown[] = [];
      const lines: Promise<void>[] = [];
      await pushSociIndex(newest.digest, {
        client,
        store,
        maxConcurrentUploads: flags["max-concurrent-uploads"],
        signal,
        onEvent: ({ descriptor: { digest, size, mediaType }, outcome }) => {
          blobs.push({ digest, size, mediaType, outcome });
          const words = outcome === "pushed" ? "successfully pushed" : "skipped";
          if (isTalking) lines.push(io.stdout.write(`${words} artifact with digest: ${digest}\n`));
        },
      });
      await Promise.all(lines);
      results.push({ digest: newest.digest, platform, subject: image.descriptor.digest, blobs });
      if (flags.quiet && !flags.json) await io.stdout.write(`${newest.digest}\n`);
    }
    if (flags.json) await writeJson(io.stdout, results);
  },
});
