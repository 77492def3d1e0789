import { SociError } from "../../errors.ts";
import { parseDigest } from "../../oci/digest.ts";
import { openArtifactStore, STORE_FLAGS } from "../artifact-store.ts";
import { defineCommand } from "../command.ts";
import { expectIndex } from "./index-artifact.ts";
import { indexesOfImage } from "./index-of-image.ts";

export const indexRemoveCommand = defineCommand({
  name: "index remove",
  summary: "Remove SOCI indexes from the state directory",
  description:
    "Their zTOCs stay: other indexes may name them too. Registries are not touched. When one of several digests is no index that is there, none is removed. Without arguments nothing is done.",
  examples: [
    {
      command: "sociable index remove --ref docker.io/library/alpine:latest",
      explanation: "All indexes of an image",
    },
    {
      command:
        "sociable index remove sha256:bce743f41b9703a2f38178fa933765f995083e9ddb300d195df384c79c2437de",
      explanation: "One index, by its digest",
    },
  ],
  args: [
    {
      name: "digest",
      required: false,
      repeatable: true,
      description: "Digests of stored SOCI indexes",
    },
  ],
  flags: {
    ref: { type: "string", valueName: "IMAGE", description: "Remove all indexes of this image" },
    ...STORE_FLAGS,
  },
  async run(context) {
    const { args, flags, signal } = context;
    if (flags.ref !== undefined && args.digest.length > 0) {
      throw new SociError(
        "invalid-argument",
        "Cannot remove SOCI indexes: both digests and --ref are given, want one of them",
      );
    }
    const named = args.digest.map((text) => parseDigest(text));
    await using store = await openArtifactStore(context);
    for (const digest of named) expectIndex(store, digest);
    const ofImage =
      flags.ref === undefined
        ? []
        : indexesOfImage(store, flags.ref).map((artifact) => artifact.digest);
    for (const digest of new Set([...named, ...ofImage])) {
      await store.remove(digest, { signal });
    }
  },
});
