import { selectImages } from "../../oci/select-images.ts";
import { openLocalStore } from "../../soci/local-store.ts";
import { defineCommand } from "../command.ts";
import { PLATFORMS_FLAGS, platformsOf } from "../image-flags.ts";
import { writeJson } from "../output.ts";
import { REGISTRY_FLAGS } from "../registry-options.ts";
import { IndexPusher, PUSH_FLAGS, type PushedIndex } from "./push-index.ts";
import { openPushTarget } from "./push-target.ts";

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
      command: "sociable push --existing-index skip registry.example.com/team/app:1.4",
      explanation: "Push only where the repository has no index of the image",
    },
    {
      command: "sociable push --user ci registry.example.com/team/app:1.4 < password.txt",
      explanation: "Log in with a password that no other user of the machine can see",
    },
  ],
  args: [{ name: "image", required: true, description: "REF of the image in its registry" }],
  flags: {
    ...PLATFORMS_FLAGS,
    ...PUSH_FLAGS,
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
  async run({ args, flags, io, log, root, signal, progress }) {
    await using source = await openPushTarget(args.image, { flags, io, log, signal });
    await using store = await openLocalStore({ root, signal });
    const isTalking = !flags.json && !flags.quiet;
    const pusher = new IndexPusher({
      source,
      store,
      existingIndex: flags["existing-index"],
      maxConcurrentUploads: flags["max-concurrent-uploads"],
      stdout: isTalking ? io.stdout : undefined,
      warnings: flags.json ? undefined : io.stdout,
      log,
      progress,
      signal,
    });
    const images = await selectImages(source, platformsOf(flags), { signal });
    // Nothing is pushed when a platform has none.
    const indexes = images.map((image) => ({ image, digest: pusher.newestOf(image) }));
    const results: PushedIndex[] = [];
    for (const { image, digest } of indexes) {
      if (!(await pusher.isWanted(image))) continue;
      results.push(await pusher.push(digest, image));
      if (flags.quiet && !flags.json) await io.stdout.write(`${digest}\n`);
    }
    if (flags.json) await writeJson(io.stdout, results);
  },
});
