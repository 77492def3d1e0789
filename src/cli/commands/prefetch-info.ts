import { SociError } from "../../errors.ts";
import { parseDigest } from "../../oci/digest.ts";
import { indentJson } from "../../soci/index-listing.ts";
import { openLocalStore } from "../../soci/local-store.ts";
import { decodePrefetch } from "../../soci/prefetch.ts";
import { formatPrefetchInfo } from "../../soci/prefetch-listing.ts";
import { defineCommand } from "../command.ts";
import { safeText } from "../safe-text.ts";

export const prefetchInfoCommand = defineCommand({
  name: "prefetch info",
  summary: "Print what a prefetch artifact says",
  examples: [
    {
      command:
        "sociable prefetch info sha256:8f30ba52ed17c4c3e6723946d9bd78e2d0584bab3594ad2a916c9aef09ea15ab",
      explanation: "The spans of an artifact that prefetch list shows",
    },
  ],
  args: [{ name: "digest", required: true, description: "Digest of a stored prefetch artifact" }],
  flags: {
    json: { type: "boolean", description: "Print the artifact's JSON below, too" },
  },
  async run({ args, flags, io, root, signal }) {
    const digest = parseDigest(args.digest);
    await using store = await openLocalStore({ root, signal });
    const artifact = store.artifacts.get(digest);
    if (artifact === undefined) {
      throw new SociError(
        "not-found",
        `Cannot find prefetch artifact ${digest}: the local store does not list it`,
        { hint: "sociable prefetch list shows the artifacts that are there" },
      );
    }
    if (artifact.type !== "soci_prefetch") {
      throw new SociError(
        "failed-precondition",
        `the provided digest is not a prefetch artifact (type: ${artifact.type})`,
      );
    }
    const bytes = await store.readPrefetchBytes(digest);
    const prefetch = decodePrefetch(bytes, `prefetch artifact ${digest}`);
    await io.stdout.write(formatPrefetchInfo(artifact, prefetch));
    if (flags.json) {
      const lines = indentJson(new TextDecoder().decode(bytes)).split("\n").map(safeText);
      await io.stdout.write(`\nRaw JSON:\n${lines.join("\n")}\n`);
    }
  },
});
