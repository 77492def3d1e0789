import { isKind, SociError } from "../../errors.ts";
import type { Artifact } from "../../soci/artifact.ts";
import { indentJson } from "../../soci/index-listing.ts";
import { decodePrefetch } from "../../soci/prefetch.ts";
import {
  countPrefetchSpans,
  formatPrefetchInfo,
  formatPrefetchTable,
  type ListedPrefetch,
} from "../../soci/prefetch-listing.ts";
import { safeText } from "../safe-text.ts";
import { parseGoDigest } from "./go-digest.ts";
import type { SociCommand, SociGroup } from "./soci-command.ts";
import { expectListed } from "./soci-listed.ts";
import type { SociStore } from "./soci-store.ts";

const list: SociCommand = {
  name: "list",
  aliases: ["ls"],
  usage: "list prefetch artifacts",
  arguments: "[flags]",
  flags: [{ names: ["json"], type: "bool", usage: "print JSON" }],
  async run(context, { flags }) {
    const { io, signal } = context;
    const store = await context.openStore();
    await store.refresh({ signal });
    const listed: ListedPrefetch[] = [];
    for (const artifact of store.artifacts.listPrefetch()) {
      signal.throwIfAborted();
      listed.push({ artifact, spans: await countSpans(store, artifact) });
    }
    if (!flags.bool("json")) {
      await io.stdout.write(formatPrefetchTable(listed, Date.now()));
      return;
    }
    // As Go writes a list of nothing.
    const json = listed.length === 0 ? null : listed.map(reportOf);
    await io.stdout.write(`${JSON.stringify(json, null, 2)}\n`);
  },
};

async function countSpans(store: SociStore, { digest }: Artifact): Promise<number | undefined> {
  try {
    const bytes = await store.readIndexBytes(digest);
    return countPrefetchSpans(decodePrefetch(bytes, `prefetch artifact ${digest}`));
  } catch (error) {
    if (isKind(error, "not-found", "data-loss", "unsupported")) return undefined;
    throw error;
  }
}

function reportOf({ artifact: { digest, ociDigest, createdAt }, spans }: ListedPrefetch) {
  return {
    Digest: digest,
    LayerDigest: ociDigest,
    TotalSpans: spans ?? -1,
    CreatedAt: new Date(createdAt).toISOString(),
  };
}

const info: SociCommand = {
  name: "info",
  usage: "display prefetch artifact information",
  arguments: "[flags] <digest>",
  flags: [{ names: ["json"], type: "bool", usage: "print the artifact's JSON below, too" }],
  async run(context, { flags, words: [text = ""] }) {
    const { io } = context;
    const digest = parseGoDigest(text);
    const store = await context.openStore();
    const artifact = expectListed(store, digest);
    if (artifact.type !== "soci_prefetch") {
      throw new SociError(
        "failed-precondition",
        `the provided digest is not a prefetch artifact (type: ${artifact.type})`,
      );
    }
    const bytes = await store.readIndexBytes(digest);
    const prefetch = decodePrefetch(bytes, `prefetch artifact ${digest}`);
    await io.stdout.write(formatPrefetchInfo(artifact, prefetch));
    if (flags.bool("json")) {
      const lines = indentJson(new TextDecoder().decode(bytes)).split("\n").map(safeText);
      await io.stdout.write(`\nRaw JSON:\n${lines.join("\n")}\n`);
    }
  },
};

export const sociPrefetch: SociGroup = {
  name: "prefetch",
  usage: "manage prefetch artifacts",
  entries: [list, info],
};
